"""Every setting of an engine instance, in one frozen value that is checked as a whole.

Read by everything that runs; changed by nothing. From the environment each field is `ENGINE_<FIELD>`, such as
`ENGINE_COMMIT_INTERVAL_MS`; `ENGINE_CLIENT_SETTINGS` takes `name=value` pairs. Times are ms, sizes bytes.
"""

import logging
import os
import socket
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Self, get_args, get_origin

from engine import client_settings
from engine.errors import ConfigError
from engine.limits import POLL_RECORDS_MAX
from engine.names import check_name

EXACTLY_ONCE = "exactly_once_v2"
AT_LEAST_ONCE = "at_least_once"
Guarantee = Literal["exactly_once_v2", "at_least_once"]
Policy = Literal["fail", "skip", "dead-letter"]

GUARANTEES = (EXACTLY_ONCE, AT_LEAST_ONCE)
POLICIES = ("fail", "skip", "dead-letter")
# Kafka Streams' own defaults of commit.interval.ms.
COMMIT_INTERVAL_MS = {EXACTLY_ONCE: 100, AT_LEAST_ONCE: 30_000}
# By default no more than so many restore at once: from there on the brokers and the disk decide.
RESTORE_PROCESSES_MAX = 4
# With fewer cores they take from a busy loop what they need (docs/decisions/0012).
RESTORE_PROCESSES_CORES_MIN = 4
# Beside a loop with work enough a restore gets so much of one core (docs/decisions/0012).
RESTORE_SHARE_MIN_PERCENT = 10
ENVIRONMENT_PREFIX = "ENGINE_"
# As `difflib` has it: a letter or a unit that is missing is told, another word is not.
MISSPELT_SIMILARITY_MIN = 0.85
# What a field takes, by a part of its declared type.
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "Mapping": ((Mapping,), "names and values, a mapping"),
    "Path": ((str, Path), "a path"),
    "bool": ((bool,), "True or False"),
    "int": ((int,), "a whole number"),
    "str": ((str,), "text"),
}
LOOPBACK_ANY_PORT = "127.0.0.1:0"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineConfig:
    """Settings of one instance. Names are Kafka Streams', where it has the setting.

    `commit_interval_ms` None means 100 with exactly-once and 30,000 with at-least-once; `transaction_timeout_ms` None
    means a little below the session timeout, so that a dead owner's transaction can end about when its tasks move.
    `max_task_idle_ms`: how long a task waits for an empty input whose lag is not 0; -1 never waits.
    `group_instance_id`: static membership (a restart within the session timeout moves nothing).
    `num_standby_replicas`: copies of each task's stores on other instances, kept up to date. `acceptable_recovery_lag`:
    how many records such a copy may be behind to count as caught up. `warmup_timeout_ms`: how long a starting instance
    waits for its copies to catch up before it joins the others.
    `restore_processes`: how many processes restore large stores beside this one; None is one for every second core, 4 at
    most, and none below four cores; 0 restores all in a thread.
    `restore_share_min_percent`: how much of a core the thread that restores takes at least, however busy the loop is; what
    the loop leaves it takes in any case. 100 yields to nobody.
    `disk_free_bytes_min`: with less space left for the state directory the engine stops, while it still can cleanly; 0
    turns this off. `listen`: where the query service listens, `host:port`; port 0 takes a free one; None runs none.
    `stop_when_caught_up`: end once this instance has all tasks and has processed and committed all of their inputs.
    """

    application_id: str
    bootstrap_servers: str = "127.0.0.1:9092"
    guarantee: str = EXACTLY_ONCE
    commit_interval_ms: int | None = None
    uncommitted_bytes_max: int = 64 * 1024 * 1024
    state_dir: Path = Path("statehouse-state")
    listen: str | None = LOOPBACK_ANY_PORT
    token_file: Path | None = None
    instance_id: str | None = None
    group_instance_id: str | None = None
    session_timeout_ms: int = 10_000
    transaction_timeout_ms: int | None = None
    max_poll_interval_ms: int = 300_000
    max_task_idle_ms: int = 0
    num_standby_replicas: int = 0
    acceptable_recovery_lag: int = 10_000
    warmup_timeout_ms: int = 600_000
    replication_factor: int = -1
    offset_reset: str = "earliest"
    poll_records: int = POLL_RECORDS_MAX
    deserialization_handler: str = "fail"
    processing_handler: str = "fail"
    production_handler: str = "fail"
    dead_letter_topic: str | None = None
    restore_bytes_per_second_max: int | None = None
    restore_partitions_max: int = 8
    restore_processes: int | None = None
    restore_share_min_percent: int = RESTORE_SHARE_MIN_PERCENT
    repartition_purge_interval_ms: int = 30_000
    recommit_interval_ms: int = 3_600_000
    state_cleanup_delay_ms: int = 600_000
    disk_free_bytes_min: int = 128 * 1024 * 1024
    block_cache_bytes: int = 256 * 1024 * 1024
    write_buffer_bytes: int = 256 * 1024 * 1024
    stop_timeout_ms: int = 30_000
    topic_settings: Mapping[str, str] = field(default_factory=dict)
    client_settings: Mapping[str, str] = field(default_factory=dict)
    caching: bool = True
    stop_when_caught_up: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot run, each with its remedy."""
        _check_types(self)
        check_name(self.application_id, "application id")
        for name in ("instance_id", "group_instance_id", "dead_letter_topic"):
            if getattr(self, name) is not None:
                check_name(getattr(self, name), name.replace("_", " "))
        object.__setattr__(self, "state_dir", Path(self.state_dir))
        if self.token_file is not None:
            object.__setattr__(self, "token_file", Path(self.token_file))
        object.__setattr__(self, "client_settings", client_settings.check(self.client_settings))
        self._check_choices()
        self._check_bounds()
        self._check_timeouts()
        if self.listen is not None:
            self.listen_address()

    def _check_choices(self) -> None:
        for name, value, choices in (
            ("guarantee", self.guarantee, GUARANTEES),
            ("deserialization_handler", self.deserialization_handler, POLICIES),
            ("processing_handler", self.processing_handler, POLICIES),
            ("production_handler", self.production_handler, POLICIES),
            ("offset_reset", self.offset_reset, ("earliest", "latest")),
        ):
            if value not in choices:
                raise ConfigError(f"{name} {value!r} is none of {', '.join(choices)}")
        handlers = (self.deserialization_handler, self.processing_handler, self.production_handler)
        if "dead-letter" in handlers and not self.dead_letter_topic:
            raise ConfigError("a handler is 'dead-letter' but dead_letter_topic is not set: name the topic")
        if not self.bootstrap_servers.strip():
            raise ConfigError("bootstrap_servers is empty: give host:port of at least one broker")

    def _check_bounds(self) -> None:
        lowest = {
            "commit_interval_ms": 0, "uncommitted_bytes_max": 1, "session_timeout_ms": 1000,
            "max_poll_interval_ms": 1000, "max_task_idle_ms": -1,
            "replication_factor": -1, "poll_records": 1, "restore_partitions_max": 1,
            "restore_bytes_per_second_max": 1, "repartition_purge_interval_ms": 100, "recommit_interval_ms": 1000,
            "state_cleanup_delay_ms": 0, "disk_free_bytes_min": 0, "block_cache_bytes": 1 << 20, "write_buffer_bytes": 1 << 20,
            "stop_timeout_ms": 100, "num_standby_replicas": 0, "acceptable_recovery_lag": 0,
            "warmup_timeout_ms": 0, "restore_processes": 0, "restore_share_min_percent": 1,
        }  # fmt: skip
        for name, bound in lowest.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise ConfigError(f"{name} is {value!r}: it must be a whole number of at least {bound}")
        if self.restore_share_min_percent > 100:  # noqa: PLR2004 - per cent
            raise ConfigError(f"restore_share_min_percent is {self.restore_share_min_percent}: it must be at most 100")
        if self.replication_factor == 0:
            raise ConfigError("replication_factor is 0: use -1 for the brokers' default, or at least 1")
        if self.poll_records > POLL_RECORDS_MAX:
            raise ConfigError(f"poll_records is {self.poll_records}: it must be at most {POLL_RECORDS_MAX}")

    def _check_timeouts(self) -> None:
        if self.exactly_once and self.transaction_timeout >= self.session_timeout_ms:
            raise ConfigError(
                f"transaction_timeout_ms ({self.transaction_timeout}) must be below session_timeout_ms "
                f"({self.session_timeout_ms}): the new owner of a dead instance's tasks waits until its transaction has ended"
            )
        if self.exactly_once and self.commit_every_ms >= self.transaction_timeout:
            raise ConfigError(
                f"commit_interval_ms ({self.commit_every_ms}) must be below transaction_timeout_ms "
                f"({self.transaction_timeout}), or every transaction times out"
            )
        if self.max_poll_interval_ms < self.session_timeout_ms:
            raise ConfigError("max_poll_interval_ms must be at least session_timeout_ms")

    @property
    def exactly_once(self) -> bool:
        """Whether the guarantee is exactly-once."""
        return self.guarantee == EXACTLY_ONCE

    @property
    def commit_every_ms(self) -> int:
        """The commit interval in force."""
        return COMMIT_INTERVAL_MS[self.guarantee] if self.commit_interval_ms is None else self.commit_interval_ms

    @property
    def transaction_timeout(self) -> int:
        """The transaction timeout in force, in ms."""
        if self.transaction_timeout_ms is not None:
            return self.transaction_timeout_ms
        return max(self.session_timeout_ms * 8 // 10, self.session_timeout_ms - 2_000)

    @property
    def restore_process_count(self) -> int:
        """How many processes may restore beside this one."""
        if self.restore_processes is not None:
            return self.restore_processes
        cores = os.cpu_count() or 1
        return 0 if cores < RESTORE_PROCESSES_CORES_MIN else min(cores // 2, RESTORE_PROCESSES_MAX)

    def listen_address(self) -> tuple[str, int]:
        """Host and port of `listen`; raises ConfigError when it is neither."""
        host, colon, port = (self.listen or "").rpartition(":")
        if not colon or not host or not port.isdigit() or int(port) > 65_535:  # noqa: PLR2004 - the highest TCP port
            raise ConfigError(f"listen {self.listen!r} is not host:port, such as 127.0.0.1:8600")
        return host.strip("[]"), int(port)

    def with_(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked again."""
        return replace(self, **changes)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Settings from `ENGINE_*`; what is `given` and not None wins. Raises ConfigError for a value that it cannot read."""
        environment = os.environ if environment is None else environment
        known = {f"{ENVIRONMENT_PREFIX}{f.name.upper()}": f for f in fields(cls)}
        _warn_of_misspellings(environment, known)
        found: dict[str, Any] = {}
        for name, text in environment.items():
            if name in known and text != "":
                found[known[name].name] = _read(name, str(known[name].type), text)
        found.update({name: value for name, value in given.items() if value is not None})
        if "application_id" not in found:
            raise ConfigError("no application id: give --application-id or set ENGINE_APPLICATION_ID")
        return cls(**found)

    def __repr__(self) -> str:
        """All settings, secrets masked."""
        shown = {f.name: getattr(self, f.name) for f in fields(self)}
        shown["client_settings"] = client_settings.masked(self.client_settings)
        return f"EngineConfig({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def new_instance_id() -> str:
    """A name for an instance that was given none: the host's, and enough chance to tell its processes apart."""
    host = "".join(c if c.isalnum() or c in "-_." else "-" for c in socket.gethostname())[:100] or "host"
    return f"{host}-{uuid.uuid4().hex[:8]}"


def _read(name: str, kind: str, text: str) -> Any:
    if "Mapping" in kind:
        return client_settings.parse(text) if name.endswith("CLIENT_SETTINGS") else client_settings.pairs(text, name)
    if "Path" in kind:
        return Path(text)
    if "bool" in kind:
        if text.lower() in {"1", "true", "yes", "on"}:
            return True
        if text.lower() in {"0", "false", "no", "off"}:
            return False
        raise ConfigError(f"{name}={text!r} is neither true nor false")
    if "int" in kind:
        try:
            return int(text)
        except ValueError:
            raise ConfigError(f"{name}={text!r} is not a whole number") from None
    return text


def _check_types(config: EngineConfig) -> None:
    """Refuse values that are not what a field is declared as."""
    for each in fields(config):
        given = getattr(config, each.name)
        if get_origin(each.type) is Literal or (given is None and NoneType in get_args(each.type)):
            continue
        kinds, words = next(known for kind, known in _KINDS.items() if kind in str(each.type))
        if not isinstance(given, kinds) or (isinstance(given, bool) and bool not in kinds):
            raise ConfigError(f"{each.name} is {given!r}: give {words}")
        if given == "" and Path in kinds:
            raise ConfigError(f"{each.name} is empty: give a path")
    if not all(isinstance(part, str) for pair in config.topic_settings.items() for part in pair):
        raise ConfigError(f"topic_settings is {config.topic_settings!r}: give names and values as text")


def _warn_of_misspellings(environment: Mapping[str, str], known: Iterable[str]) -> None:
    """Other programs may have variables of this prefix, so one that is no setting passes; one that is almost a setting is told."""
    for name in environment:
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known:
            for near in get_close_matches(name, known, 1, MISSPELT_SIMILARITY_MIN):
                log.warning("%s is no setting and is ignored: did you mean %s?", name, near)
