"""What ``manage.py up`` can be told; the same options for the command line and for Django's list of commands."""

import argparse
from dataclasses import dataclass
from pathlib import Path

PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class Options:
    """The choices of one `up`. ``port`` is None unless it was given: then another one is not good enough."""

    port: int | None = None
    data_dir: Path = Path(".statehouse")
    instances: int = 2
    demo: str = "replay"
    speed: float | None = None
    kafka_heap: str = "1g"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--port", type=_port, help="port of the web pages (8000, or another free one)")
    parser.add_argument(
        "--data-dir", type=Path, default=Path(".statehouse"), help="where everything is kept (./.statehouse)"
    )
    parser.add_argument("--instances", type=_positive, default=2, help="engine instances of the demo (2)")
    parser.add_argument(
        "--demo",
        choices=("replay", "once", "off"),
        default="replay",
        help="flights year after year at a speed to watch, one year as fast as it goes or at a speed, or no application (replay)",
    )
    parser.add_argument("--speed", type=float, help="flight-seconds per second (the feeder's own choice)")
    parser.add_argument("--kafka-heap", default="1g", help="memory that Kafka's Java may use (1g)")


def parse(arguments: list[str]) -> Options:
    """Read the command line; ends the process with a usage message when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="manage.py up",
        description="Run everything on this machine: Kafka, Redis, database, engine, console, and real flights to watch.",
    )
    add(parser)
    return from_mapping(vars(parser.parse_args(arguments)))


def from_mapping(found: dict[str, object]) -> Options:
    """Take our options out of a mapping that may hold others (Django's command has its own)."""
    names = Options.__dataclass_fields__
    return Options(**{name: value for name, value in found.items() if name in names})  # type: ignore[arg-type]


def _port(text: str) -> int:
    port = int(text) if text.isdigit() else 0
    if not 0 < port <= PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text} is no port: give a number from 1 to {PORT_MAX}")
    return port


def _positive(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of instances: give 1 or more")
    return number
