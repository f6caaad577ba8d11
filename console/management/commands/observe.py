"""``manage.py observe``: the observer, until it is told to stop (SIGTERM or Ctrl-C)."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from console.live.pings import pinger
from console.observe import keys
from console.observe.observer import Observer

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Runs one observer. A second one is a warm spare: it takes over when the first one's lock ends."""

    help = "Read the status topic; keep Redis, history and the sockets up to date."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own shape

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Observe."""
        stop = threading.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: stop.set())
        logger.info("observing")
        Observer(keys.client(), pinger).run(stop)
        pinger.close()
