"""Asks the brokers once a second where topics begin and end, so that lags can be told. A thread of its own.

Neither the loop nor the reporter ever waits for these answers: they read the last ones. While the cluster does not
answer, the last known ends stay, with their age.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from engine.changelog.topics import Topics
from engine.control.outage import Outage
from engine.errors import StatehouseError

log = logging.getLogger(__name__)

Place = tuple[str, int]
ROUND_SECONDS = 1.0
# Walking the state directory costs a stat a file.
DISK_SECONDS = 10.0
STOP_SECONDS = 5.0
# Ends older than this say nothing about how far behind a copy is now.
FRESH_SECONDS = 5.0


class Sampler:
    """The newest begin and end offsets of the places that `places()` names, and the state directory's size."""

    def __init__(
        self, topics: Topics, places: Callable[[], list[Place]], state_dir: Path, size: Callable[[], int]
    ) -> None:
        self._topics = topics
        self._places = places
        self._state_dir = state_dir
        self._size = size
        self.ends: dict[Place, int] = {}
        self.begins: dict[Place, int] = {}
        self.sampled_at = 0.0
        self._asked_at = float("-inf")  # monotonic: when the newest ends were asked for
        self.state_dir_bytes: int | None = None
        self.free_bytes: int | None = None
        self.disk_bytes: int | None = None
        self._disk_at = 0.0
        self._outage = Outage(log, "sampler.outage", "end offsets are unknown")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="offset-sampler", daemon=True)

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for a question under way for some seconds at most."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def end(self, place: Place) -> int | None:
        """The end of a partition when last looked at."""
        return self.ends.get(place)

    def fresh_end(self, place: Place) -> int | None:
        """The end of a partition if it was looked at a moment ago; None otherwise, as after a pause of the process."""
        return self.ends.get(place) if time.monotonic() - self._asked_at <= FRESH_SECONDS else None

    def _run(self) -> None:
        while not self._stopping.wait(ROUND_SECONDS):
            try:
                asked_at = time.monotonic()
                places = list(dict.fromkeys(self._places()))
                self.ends, self.begins = self._topics.end_offsets(places), self._topics.begin_offsets(places)
                self.sampled_at, self._asked_at = time.time(), asked_at
            except StatehouseError as error:
                self._outage.failed(error)
            else:
                self._outage.ended()
            if time.monotonic() - self._disk_at > DISK_SECONDS:
                self._disk_at = time.monotonic()
                self.state_dir_bytes = self._size()
                disk = shutil.disk_usage(self._state_dir)
                self.free_bytes, self.disk_bytes = disk.free, disk.total
