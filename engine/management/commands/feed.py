"""`manage.py feed`: create the demo's topics, fill its tables, send its departures."""

from __future__ import annotations

import os
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engine.demo.feeder import Feeder
from engine.errors import StatehouseError

DEFAULT_SPEED = 3600.0


class Command(BaseCommand):
    """The demo's feeder; see `engine.demo.feeder`."""

    help = "Feed the demo: --prepare creates topics and tables; --mode once loads the year; --mode replay goes on for ever."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own spelling

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--prepare", action="store_true", help="create the topics, fill the tables, end")
        parser.add_argument("--mode", choices=["replay", "once"], default="replay")
        parser.add_argument(
            "--speed",
            type=float,
            help=f"seconds of flights in one second ({DEFAULT_SPEED:.0f} in replay, as fast as it goes once)",
        )
        parser.add_argument("--bootstrap-servers", default=os.environ.get("KAFKA_BOOTSTRAP_SERVERS"))

    def handle(self, *_: Any, **options: Any) -> None:
        """Run until done (prepare, once) or stopped (replay)."""
        if not options["bootstrap_servers"]:
            raise CommandError("no broker is named: set KAFKA_BOOTSTRAP_SERVERS or give --bootstrap-servers")
        if options["speed"] is not None and options["speed"] <= 0:
            raise CommandError("--speed must be above 0")
        stopping = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())
        signal.signal(signal.SIGINT, lambda *_: stopping.set())
        try:
            feeder = Feeder(options["bootstrap_servers"], report=self.stdout.write)
            feeder.prepare()
            if options["prepare"]:
                return
            if options["mode"] == "once":
                self.stdout.write(f"flights: {feeder.once(options['speed'], stopping.is_set):,} departures sent")
            else:
                feeder.replay(options["speed"] or DEFAULT_SPEED, stopping.is_set)
        except StatehouseError as error:
            raise CommandError(str(error)) from error
