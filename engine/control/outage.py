"""What is said of brokers that cannot be reached: once when it begins, once a minute while it goes on, once when it ends.

The Kafka client itself repeats a line for every attempt to connect, several a second. Each part that talks to the brokers in the
background has an `Outage` of its own, on its own thread, and gives its client `quiet_log` instead of a logger.
"""

import logging
import time

from confluent_kafka import KafkaError

from engine import broker_errors

REPEAT_SECONDS = 60.0
# How the client's lines about single connections begin; which brokers serve meanwhile is not theirs to know.
CONNECTION_LINES = "FAIL"


class Outage:
    """`action` is the stable name of the log lines, `what` says in words what does not happen meanwhile."""

    def __init__(self, log: logging.Logger, action: str, what: str) -> None:
        self._log = log
        self._action = action
        self._what = what
        self._began_at: float | None = None
        self._said_at = 0.0

    def failed(self, why: object) -> None:
        """Note that the brokers did not answer."""
        now = time.monotonic()
        if self._began_at is None:
            self._began_at = self._said_at = now
            self._log.warning("%s_began: %s: %s", self._action, self._what, why)
        elif now - self._said_at >= REPEAT_SECONDS:
            self._said_at = now
            self._log.warning("%s_goes_on for %.0f s: %s: %s", self._action, now - self._began_at, self._what, why)

    def on_error(self, error: KafkaError) -> None:
        """A client's `error_cb`. A single broker that is down is no outage: the others serve."""
        if error.code() == broker_errors.ALL_BROKERS_DOWN:
            self.failed(error.str())

    def ended(self) -> None:
        """Note that they did."""
        if self._began_at is not None:
            self._log.warning("%s_ended after %.0f s", self._action, time.monotonic() - self._began_at)
            self._began_at = None


def quiet_log(log: logging.Logger) -> logging.Logger:
    """A logger for a Kafka client, without its lines about connections."""
    found = log.getChild("client")
    if not found.filters:
        found.addFilter(_says_more)
    return found


def _says_more(line: logging.LogRecord) -> bool:
    return not line.getMessage().startswith(CONNECTION_LINES)
