"""``up.json``: what runs where, for programs that use a running stack (tests, scripts, a second terminal)."""

import json
import logging

from engine.embedded.stack import USER, Stack
from engine.embedded.supervised import Supervised

NAME = "up.json"

log = logging.getLogger(__name__)


class UpFile:
    """Written when all is ready, again whenever a process id changes, gone after a clean stop."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._written = ""
        self._failed = False

    def write(self, parts: list[Supervised]) -> None:
        """Write the file if it would differ from what is there. A disk that does not take it is told, and asked again."""
        processes = [
            {"role": one.name, "application": one.part.application, "pid": one.pid, "address": one.part.address}
            for one in parts
            if one.pid is not None
        ]
        content = {
            "url": self._stack.url,
            "user": USER,
            "password": self._stack.password,
            "token": self._stack.token,
            "bootstrap_servers": self._stack.bootstrap_servers,
            "redis_url": self._stack.redis_url,
            "processes": processes,
        }
        text = json.dumps(content, indent=2) + "\n"
        if text != self._written:
            try:
                self._stack.data.write_private(NAME, text)
            except OSError as error:
                if not self._failed:
                    log.warning("%s is out of date: %s", NAME, error)
                self._failed = True
            else:
                self._written, self._failed = text, False

    def remove(self) -> None:
        """Take the file away: nothing of it is true any more."""
        (self._stack.data / NAME).unlink(missing_ok=True)
