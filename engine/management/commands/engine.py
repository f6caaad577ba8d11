"""`manage.py engine run package.module:build --application-id shop`: run instances of an application.

Exit codes: 0 stopped, 1 failed, 2 wrong settings or topology, 3 the state directory is in use, 4 its disk is full, 75 a stop took too long,
130 ended by a second signal.
"""

import logging
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engine.client_settings import parse
from engine.config import GUARANTEES, POLICIES, EngineConfig
from engine.errors import ConfigError, DiskFull, StateDirectoryLocked, StatehouseError, TopologyError
from engine.hosting.children import command_line, end_with_parent, run_children
from engine.instance import Engine
from engine.management import chaos, resetting
from engine.runtime.signals import EXIT_CONFIG, EXIT_DISK_FULL, EXIT_FAILED, EXIT_LOCKED, EXIT_STOPPED, StopSignals
from engine.topology.loading import load_build

log = logging.getLogger(__name__)

# Options that are settings of the same name.
SETTINGS: dict[str, Callable[[str], Any]] = {
    "application_id": str,
    "bootstrap_servers": str,
    "state_dir": Path,
    "instance_id": str,
    "group_instance_id": str,
    "listen": str,
    "token_file": Path,
    "guarantee": str,
    "commit_interval_ms": int,
    "uncommitted_bytes_max": int,
    "session_timeout_ms": int,
    "transaction_timeout_ms": int,
    "max_task_idle_ms": int,
    "num_standby_replicas": int,
    "acceptable_recovery_lag": int,
    "warmup_timeout_ms": int,
    "replication_factor": int,
    "offset_reset": str,
    "poll_records": int,
    "deserialization_handler": str,
    "processing_handler": str,
    "production_handler": str,
    "dead_letter_topic": str,
    "restore_bytes_per_second_max": int,
    "stop_timeout_ms": int,
    "disk_free_bytes_min": int,
}
CHOICES = {
    "guarantee": GUARANTEES,
    "deserialization_handler": POLICIES,
    "processing_handler": POLICIES,
    "production_handler": POLICIES,
    "offset_reset": ("earliest", "latest"),
}
EXIT_CODES = {
    StateDirectoryLocked: EXIT_LOCKED,
    DiskFull: EXIT_DISK_FULL,
    ConfigError: EXIT_CONFIG,
    TopologyError: EXIT_CONFIG,
}
LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class Command(BaseCommand):
    """Runs the engine; the only place where it meets Django."""

    help = "Run stateful processors over Kafka topics: engine run package.module:build --application-id shop; or reset them"
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own spelling

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; each setting can come from the environment too, as ENGINE_<NAME>."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="run|chaos|reset")
        self._add_run(actions.add_parser("run", help="run instances of an application"))
        under_chaos = actions.add_parser(
            "chaos", help="faults from a seed on an application of your own, and a verdict"
        )
        self._add_run(under_chaos)
        chaos.add_arguments(under_chaos)
        resetting.add_arguments(actions.add_parser("reset", help="start an application over: offsets, state, topics"))

    @staticmethod
    def _add_run(parser: ArgumentParser) -> None:
        parser.add_argument("build", metavar="package.module:function", help="the function that fills a StreamsBuilder")
        parser.add_argument("--instances", type=int, default=1, help="processes to start on this host")
        parser.add_argument("--client-settings", default=None, help="name=value,… for the Kafka client (TLS, SASL)")
        parser.add_argument("--stop-when-caught-up", action="store_true", default=None, help="end at the input's end")
        for name, kind in SETTINGS.items():
            parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=None, choices=CHOICES.get(name))

    def handle(self, *_: Any, **options: Any) -> None:
        """Run until stopped."""
        logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
        if options["action"] == "reset":
            sys.exit(resetting.run(options, self.stdout.write))
        end_with_parent()
        if options["action"] == "chaos":
            sys.exit(chaos.run(options))
        if options["instances"] < 1:
            raise CommandError("--instances must be at least 1")
        if options["instances"] > 1:
            sys.exit(run_children(_instances(options)))
        sys.exit(_run(options))


def _run(options: dict[str, Any]) -> int:
    try:
        config = EngineConfig.from_environment(**_given(options))
        engine = Engine(load_build(options["build"]), config)
    except (ConfigError, TopologyError) as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says it all
        return EXIT_CONFIG
    StopSignals(engine.request_stop, config.stop_timeout_ms).install()
    try:
        engine.run()
    except StatehouseError as error:
        log.error("the engine stops: %s", error)  # noqa: TRY400 - the sentence says it all
        return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), EXIT_FAILED)
    except Exception:
        log.exception("the engine stops on an error that it has no name for")
        return EXIT_FAILED
    return EXIT_STOPPED


def _given(options: dict[str, Any]) -> dict[str, Any]:
    given = {name: options[name] for name in SETTINGS}
    given["stop_when_caught_up"] = options["stop_when_caught_up"]
    if given["bootstrap_servers"] is None and not os.environ.get("ENGINE_BOOTSTRAP_SERVERS"):
        given["bootstrap_servers"] = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if options["client_settings"] is not None:
        given["client_settings"] = parse(options["client_settings"])
    return given


def _instances(options: dict[str, Any]) -> list[list[str]]:
    """One command line an instance: names and directories apart, ports counted up from the one given."""
    state_dir = options["state_dir"] or Path(os.environ.get("ENGINE_STATE_DIR", "statehouse-state"))
    name = options["instance_id"] or os.environ.get("ENGINE_INSTANCE_ID") or options["application_id"] or "instance"
    commands = []
    for number in range(1, options["instances"] + 1):
        own = {**options, "state_dir": Path(state_dir) / str(number), "instance_id": f"{name}-{number}"}
        if member := options["group_instance_id"] or os.environ.get("ENGINE_GROUP_INSTANCE_ID"):
            # Members of one id fence each other.
            own["group_instance_id"] = f"{member}-{number}"
        host, colon, port = (options["listen"] or "").rpartition(":")
        if colon and port.isdigit() and int(port):
            own["listen"] = f"{host}:{int(port) + number - 1}"
        if options["token_file"] is None:
            # One token for all: they forward queries to each other.
            own["token_file"] = _shared_token(Path(state_dir))
        arguments = ["engine", "run", options["build"]]
        for setting in SETTINGS:
            if own[setting] is not None:
                arguments += [f"--{setting.replace('_', '-')}", str(own[setting])]
        if options["client_settings"]:
            arguments += ["--client-settings", options["client_settings"]]
        if options["stop_when_caught_up"]:
            arguments.append("--stop-when-caught-up")
        commands.append(command_line(arguments))
    return commands


def _shared_token(state_dir: Path) -> Path:
    from engine.hosting.token import load_token  # noqa: PLC0415 - only several instances share one

    state_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    load_token(None, state_dir)
    return state_dir / "token"
