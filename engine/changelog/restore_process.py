"""Restores in a process of its own, `python -m engine.changelog.restore_process`: what `engine.runtime.restore_processes` starts.

It opens a store that its parent has closed, brings it to an end offset as the parent's thread would, closes it, and takes the next. Lines of
JSON come in on standard input and go out on standard output; there is one restore at a time.

    in    {"client", "group", "write_buffer_bytes"}                           first of all
          {"restore": id, "spec", "changelog", "partition", "directory", "start", "end"}
          {"cancel": id}                                                      keep what is restored and close the store
    out   {"id", "position", "records", "bytes"}                              a sign of life, after every step
          {"id", "waits": why}                                              the cluster does not answer; it is asked again
          {"id", "ended": "done" | "cancelled"}                               the store is closed, its files are the parent's
          {"id", "ended": "failed", "error": class, "message"}                the same, with an error of `engine.errors`

The end of standard input means that the parent is gone, `kill -9` included: the process ends at once. Nothing is lost, for a write to the
store carries its position. It knows no task, no serdes and no Django.
"""

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from engine.changelog.restore import Reader, Restoring, UnattendedContext
from engine.errors import Retry, StatehouseError
from engine.stores import memory_budget, open_store
from engine.topology.stores import StoreSpec

# A restore writes and hardly reads.
BLOCK_CACHE_BYTES = 8 * memory_budget.MEBIBYTE
# One partition is fetched at a time; a thread that reads eight may hold more.
QUEUE_KILOBYTES = 32 * 1024
RETRY_SECONDS = 0.5
# Processing goes before restoring where both want the same core.
NICENESS = 5

Say = Callable[..., None]


class Orders:
    """What the parent wants. `next` is for the thread that restores; a thread of its own listens."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = lines
        self._waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        threading.Thread(target=self._listen, name="parent-watch", daemon=True).start()

    def next(self) -> dict[str, Any]:
        """The next restore; waits for it."""
        return self._waiting.get()

    def cancelled(self, number: int) -> bool:
        """Whether a restore is to end where it is."""
        return number in self._cancelled

    def _listen(self) -> None:
        # Whatever goes wrong here: a process that no longer hears its parent must not hold a store.
        try:
            for line in self._lines:
                order = json.loads(line)
                if "cancel" in order:
                    self._cancelled.add(order["cancel"])
                else:
                    self._waiting.put(order)
        finally:
            os._exit(0)


def serve(lines: TextIO, say: Say) -> None:
    """Restore what is ordered, one after the other, until the parent is gone."""
    settings = json.loads(lines.readline())
    memory_budget.configure(
        block_cache_bytes=BLOCK_CACHE_BYTES, write_buffer_bytes=settings["write_buffer_bytes"], object_cache_bytes=0
    )
    reader = Reader({"queued.max.messages.kbytes": QUEUE_KILOBYTES, **settings["client"]}, settings["group"])
    orders = Orders(lines)
    while True:
        order = orders.next()
        number = order["restore"]
        try:
            ended = _restore(order, reader, partial(orders.cancelled, number), say)
        except StatehouseError as error:
            say(id=number, ended="failed", error=type(error).__name__, message=str(error))
        else:
            say(id=number, ended=ended)


def _restore(order: dict[str, Any], reader: Reader, cancelled: Callable[[], bool], say: Say) -> str:
    number = order["restore"]
    spec = StoreSpec(**order["spec"])
    store = open_store(spec, Path(order["directory"]), UnattendedContext())
    with contextlib.closing(store):
        start = order["start"] if store.position is None else store.position
        restoring = Restoring("", spec.name, order["changelog"], order["partition"], store, start, order["end"], "")
        reader.add(restoring)
        try:
            while not restoring.done and not cancelled():
                try:
                    reader.step()
                except Retry as error:
                    say(id=number, waits=str(error))
                    reader.rewind()
                    time.sleep(RETRY_SECONDS)
                say(id=number, position=restoring.position, records=restoring.records, bytes=restoring.bytes)
        finally:
            reader.remove(restoring)
        store.flush()
    return "done" if restoring.done else "cancelled"


def _speaker() -> Say:
    """How to tell the parent: on what was standard output, which is for nothing else from now on."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**news: Any) -> None:
        try:
            told.write(json.dumps(news) + "\n")
            told.flush()
        except OSError:
            # Nobody listens any more; the end of standard input has said so, or will.
            os._exit(0)

    return say


def main() -> None:
    """Restore for the parent."""
    os.nice(NICENESS)
    serve(sys.stdin, _speaker())


if __name__ == "__main__":
    main()
