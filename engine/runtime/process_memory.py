"""What an engine tells Python and the C library about memory: rarely look for circles, and give back what was freed.

Both hold for the process as long as the engine runs; several engines in one process share them.
"""

import contextlib
import ctypes
import gc
import threading
from collections.abc import Iterator

# Objects made between two collections; the last is how many middle collections make a full one.
GC_THRESHOLDS = (200_000, 20, 100)
# Long enough to cost nothing, short enough that a burst does not count as the engine's size.
TRIM_SECONDS = 60.0


@contextlib.contextmanager
def calm_garbage_collection() -> Iterator[None]:
    """Let Python look for reference cycles rarely.

    A micro-batch makes a hundred thousand tuples that reference counting frees; walking all of them, and all that stores
    hold, each time took a quarter of the loop's time. What exists already is set aside until the engine has ended: Kafka
    clients that hang in a cycle would otherwise live, and knock at their brokers, as long as the process.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextlib.contextmanager
def freed_memory_returned() -> Iterator[None]:
    """Have glibc give back to the system what was freed, now and then; elsewhere this does nothing.

    Batches are allocated on one thread and freed on another (librdkafka's, RocksDB's, the loop), which leaves glibc's arenas
    full of holes that it keeps: an engine under a steady load grew by a third of its size.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        yield
        return
    stopped = threading.Event()

    def trim_now_and_then() -> None:
        while not stopped.wait(TRIM_SECONDS):
            trim(0)  # without the interpreter's lock

    thread = threading.Thread(target=trim_now_and_then, name="malloc-trim", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
