"""What an engine tells Python and the C library about memory, and that it takes it back."""

import ctypes
import gc
import threading

from engine.runtime import process_memory
from engine.runtime.process_memory import calm_garbage_collection, freed_memory_returned
from tests.runtime.harness import eventually


def test_the_collector_is_calm_meanwhile():
    before = gc.get_threshold(), gc.get_freeze_count()
    with calm_garbage_collection():
        assert gc.get_threshold() == process_memory.GC_THRESHOLDS
        assert gc.get_freeze_count() > before[1]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before[0], 0)


def test_freed_memory_is_given_back_again_and_again_until_the_end(monkeypatch):
    trimmed = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: type("Library", (), {"malloc_trim": staticmethod(trimmed.append)}))
    monkeypatch.setattr(process_memory, "TRIM_SECONDS", 0.01)
    with freed_memory_returned():
        eventually(lambda: len(trimmed) >= 3, "three times")
    count = len(trimmed)
    assert "malloc-trim" not in {thread.name for thread in threading.enumerate()}
    assert trimmed == [0] * count


def test_another_c_library_has_nothing_to_be_told(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    with freed_memory_returned():
        assert "malloc-trim" not in {thread.name for thread in threading.enumerate()}
