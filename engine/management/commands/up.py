"""``manage.py up`` in Django's list of commands; ``manage.py`` itself runs it without Django."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from engine.embedded import options as up_options
from engine.embedded import up


class Command(BaseCommand):
    """Runs everything on this machine."""

    help = "Run everything on this machine: Kafka, Redis, database, engine, console, and real flights to watch."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        up_options.add(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run until stopped."""
        code = up.run(up_options.from_mapping(options))
        if code:
            raise SystemExit(code)
