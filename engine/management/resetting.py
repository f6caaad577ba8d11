"""`manage.py engine reset --application-id X`: what it is told, what it asks before it does anything, what it says.

Exit codes: 0 done (or shown), 1 it could not be finished (run it again), 2 refused, nothing was changed.
"""

import logging
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import client_settings
from engine.client_settings import parse
from engine.errors import ConfigError, StateDirectoryLocked, StatehouseError
from engine.hosting.reset import Plan, Reset, ResetRefused, Start
from engine.runtime.signals import EXIT_CONFIG, EXIT_FAILED, EXIT_STOPPED

log = logging.getLogger(__name__)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--application-id", default=os.environ.get("ENGINE_APPLICATION_ID"))
    parser.add_argument("--bootstrap-servers", default=None)
    parser.add_argument("--client-settings", default=None, help="name=value,… for the Kafka client (TLS, SASL)")
    parser.add_argument(
        "--state-dir", type=Path, action="append", default=None, help="of each instance on this host; may be repeated"
    )
    parser.add_argument("--input-topics", default="", help="a,b: those that begin anew; else all that have an offset")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--to-earliest", action="store_true", help="inputs begin at their first record")
    start.add_argument("--to-latest", action="store_true", help="inputs begin at their end, as it is now")
    start.add_argument(
        "--to-offset", type=int, metavar="N", help="inputs begin at this offset, or the nearest there is"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(options: dict[str, Any], say: Callable[[str], Any], ask: Callable[[str], str] = input) -> int:
    """Reset as the options say; returns the exit code."""
    try:
        reset, application = _reset(options)
        plan = reset.plan(_start(options), [t.strip() for t in options["input_topics"].split(",") if t.strip()])
    except (ConfigError, StateDirectoryLocked) as error:
        log.error("refused: %s", error)  # noqa: TRY400 - the sentence says it all
        return EXIT_CONFIG
    except StatehouseError as error:
        log.error("%s", error)  # noqa: TRY400 - as above
        return EXIT_FAILED
    for line in plan.lines():
        say(line)
    if options["dry_run"]:
        say("Nothing was changed: this was a dry run.")
        return EXIT_STOPPED
    if not options["yes"] and not _confirmed(application, ask):
        log.error("refused: the application id was not typed. Nothing was changed; --yes does not ask")
        return EXIT_CONFIG
    return _carry_out(reset, plan, say)


def _carry_out(reset: Reset, plan: Plan, say: Callable[[str], Any]) -> int:
    try:
        reset.carry_out(plan)
    except (ResetRefused, StateDirectoryLocked) as error:
        log.error("refused: %s", error)  # noqa: TRY400 - the sentence says it all
        return EXIT_CONFIG
    except (StatehouseError, OSError) as error:
        log.error("%s. Run it again: what is done stays done", error)  # noqa: TRY400 - as above
        return EXIT_FAILED
    say(f"Application {plan.application_id} starts over.")
    return EXIT_STOPPED


def _reset(options: dict[str, Any]) -> tuple[Reset, str]:
    application = options["application_id"]
    if not application:
        raise ConfigError("no application id: give --application-id or set ENGINE_APPLICATION_ID")
    given = options["client_settings"] or os.environ.get("ENGINE_CLIENT_SETTINGS") or ""
    servers = options["bootstrap_servers"] or os.environ.get("ENGINE_BOOTSTRAP_SERVERS")
    client = {
        "bootstrap.servers": servers or os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or "127.0.0.1:9092",
        **client_settings.of_kind(parse(given), frozenset()),
    }
    directories = options["state_dir"] or [Path(os.environ.get("ENGINE_STATE_DIR", "statehouse-state"))]
    return Reset(client, application, directories), application


def _start(options: dict[str, Any]) -> Start:
    if options["to_offset"] is not None:
        if options["to_offset"] < 0:
            raise ConfigError(f"--to-offset is {options['to_offset']}: give 0 or more")
        return Start("offset", options["to_offset"])
    return Start("earliest" if options["to_earliest"] else "latest" if options["to_latest"] else "default")


def _confirmed(application: str, ask: Callable[[str], str]) -> bool:
    if not sys.stdin.isatty() and ask is input:
        return False
    return ask(f"Type the application id to do this ({application}): ").strip() == application
