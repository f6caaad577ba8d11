"""`manage.py engine chaos module:build`: its options, an embedded Kafka where none is given, the report as text or JSON.

Exit codes: 0 all holds, 1 something does not, 2 it could not be run, 130 interrupted.
"""

import json
import secrets
import signal
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from engine import client_settings
from engine.config import EXACTLY_ONCE
from engine.embedded.failure import StartFailure
from engine.embedded.kafka import RunningKafka
from engine.errors import ConfigError, StatehouseError
from engine.hosting.children import command_line
from engine.testing.chaos import Chaos, Report, Settings
from engine.testing.chaos_plan import INSTANCE_FAULTS, KINDS
from engine.topology.loading import load_topology

EXIT_HOLDS, EXIT_DOES_NOT, EXIT_NOT_RUN, EXIT_INTERRUPTED = 0, 1, 2, 130
# Options of `engine run` that the instances are started with as they are given here.
PASSED_ON = (
    "commit_interval_ms", "uncommitted_bytes_max", "transaction_timeout_ms", "max_task_idle_ms", "poll_records",
    "num_standby_replicas", "acceptable_recovery_lag", "warmup_timeout_ms", "replication_factor",
    "deserialization_handler", "processing_handler", "production_handler", "dead_letter_topic",
    "restore_bytes_per_second_max", "stop_timeout_ms", "disk_free_bytes_min",
)  # fmt: skip
# And those that it chooses itself.
CHOSEN = (
    "application_id", "state_dir", "instance_id", "group_instance_id", "listen", "token_file", "offset_reset",
    "stop_when_caught_up",
)  # fmt: skip
SEED_BITS = 31
SESSION_TIMEOUT_MS = 6_000


def add_arguments(parser: ArgumentParser) -> None:
    """Declare what only `chaos` reads."""
    group = parser.add_argument_group("chaos", "faults from a seed on a scratch application, and a verdict")
    group.add_argument("--seed", type=int, help="names the run; chosen and printed when not given")
    group.add_argument("--faults", type=int, default=10, help="how many")
    group.add_argument(
        "--duration", type=float, help="no fault begins later than so many seconds after the first commit"
    )
    group.add_argument("--kinds", default=",".join(INSTANCE_FAULTS), help=f"of {', '.join(KINDS)}, with commas")
    group.add_argument(
        "--every", nargs=2, type=float, default=(0.1, 10.0), metavar=("MIN", "MAX"), help="seconds apart"
    )
    group.add_argument("--records", type=int, default=20_000, help="how many are made up, or asked of --generate")
    group.add_argument("--partitions", type=int, default=4, help="of every input topic")
    group.add_argument("--input", type=Path, help="JSON Lines with topic, key, value, timestamp")
    group.add_argument(
        "--generate", metavar="module:function", help="(random, count) -> (topic, key, value, timestamp_ms)…"
    )
    group.add_argument("--settle", type=float, default=120.0, help="seconds that catching up may take")
    group.add_argument("--keep", action="store_true", help="keep topics, state directories and logs")
    group.add_argument("--json", action="store_true", help="print the report as JSON")


def run(options: dict[str, Any]) -> int:
    """Run what the options say; returns the exit code."""
    seed = options["seed"] if options["seed"] is not None else secrets.randbits(SEED_BITS)
    # To standard error, so that --json leaves only JSON on standard output.
    _say(f"seed {seed}")
    try:
        _refuse_chosen(options)
        # Before a Kafka is started for it.
        load_topology(options["build"])
        # As an interrupt: what the run has made goes with it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with _folder(keep=options["keep"]) as folder, _broker(options, folder) as (client, broker):
            chaos = Chaos(_settings(options, seed, folder, client), command_line, broker=broker, say=_say)
            report = chaos.run()
    except (StatehouseError, StartFailure, KafkaException) as error:
        _say(f"chaos could not be run: {error}")
        return EXIT_NOT_RUN
    except KeyboardInterrupt:
        _say("interrupted: no verdict")
        return EXIT_INTERRUPTED
    sys.stdout.write((json.dumps(report.as_json(), indent=2) if options["json"] else _text(report)) + "\n")
    return EXIT_HOLDS if report.holds else EXIT_DOES_NOT


def _refuse_chosen(options: dict[str, Any]) -> None:
    given = [f"--{name.replace('_', '-')}" for name in CHOSEN if options[name] is not None]
    if given:
        raise ConfigError(f"a run under chaos chooses {', '.join(given)} itself: leave it out")


def _settings(options: dict[str, Any], seed: int, folder: Path, client: dict[str, Any]) -> Settings:
    passed: list[str] = []
    for name in PASSED_ON:
        if options[name] is not None:
            passed += [f"--{name.replace('_', '-')}", str(options[name])]
    return Settings(
        build=options["build"],
        client=client,
        folder=folder,
        seed=seed,
        # One instance has nobody to hand over to.
        instances=max(options["instances"], 1) if options["instances"] != 1 else Settings.instances,
        partitions=options["partitions"],
        records=options["records"],
        faults=options["faults"],
        duration=options["duration"],
        kinds=tuple(options["kinds"].split(",")),
        every=tuple(options["every"]),
        session_timeout_ms=options["session_timeout_ms"] or SESSION_TIMEOUT_MS,
        settle=options["settle"],
        guarantee=options["guarantee"] or EXACTLY_ONCE,
        options=tuple(passed),
        input_file=options["input"],
        generate=options["generate"],
        keep=options["keep"],
    )


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    if keep:
        folder = Path(tempfile.mkdtemp(prefix="statehouse-chaos-"))
        _say(f"state and logs stay in {folder}")
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="statehouse-chaos-") as name:
        yield Path(name)


@contextmanager
def _broker(options: dict[str, Any], folder: Path) -> Iterator[tuple[dict[str, Any], RunningKafka | None]]:
    """Connection settings of the Kafka that is named, or of an embedded one, which the run may then end."""
    if options["bootstrap_servers"] is not None:
        client = client_settings.parse(options["client_settings"]) if options["client_settings"] else {}
        yield {"bootstrap.servers": options["bootstrap_servers"], **client}, None
        return
    _say("starting a Kafka for this run")
    with RunningKafka(folder / "kafka") as running:
        yield {"bootstrap.servers": running.bootstrap_servers}, running


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _text(report: Report) -> str:
    faults = ", ".join(f"{count} {kind}" for kind, count in report.faults.items()) or "no faults"
    lines = [
        f"{report.records:,} records, {report.instances} instances, {faults}, {report.seconds:.0f} s, seed {report.seed}",
        *(f"  {'holds' if check.holds else 'FAILS'}  {check.name}: {check.detail}" for check in report.checks),
        "all holds" if report.holds else f"does not hold; run it again with --seed {report.seed} --keep to look at it",
    ]
    return "\n".join(lines)
