"""The process's memory for stores: one RocksDB block cache, one write-buffer budget, one share for decoded objects.

Every store of every task of the process draws on the same three, so that memory does not grow with the number of
partitions. Shares of decoded objects are kept at commits: what is read and written between two of them comes on top.
`configure` before the first store opens, or later to move the bounds; `usage` is what the status reports.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache

from rocksdict import Cache, WriteBufferManager

MEBIBYTE = 1024 * 1024
# Kafka Streams gives every store 50 MB of block cache and 48 MB of write buffers; here the whole process shares these.
BLOCK_CACHE_BYTES = 64 * MEBIBYTE
WRITE_BUFFER_BYTES = 64 * MEBIBYTE
# What lending leaves to this process.
WRITE_BUFFER_BYTES_MIN = 1 * MEBIBYTE
# Decoded objects: what makes a hot key cost 0.1 µs instead of 2 µs.
OBJECT_CACHE_BYTES = 256 * MEBIBYTE


@dataclass
class _Bounds:
    object_cache_bytes: int = OBJECT_CACHE_BYTES
    block_cache_bytes: int = BLOCK_CACHE_BYTES
    write_buffer_bytes: int = WRITE_BUFFER_BYTES
    lent_bytes: int = 0  # of the write buffers, to processes that write stores for this one

    @property
    def write_buffer_bytes_here(self) -> int:
        return max(self.write_buffer_bytes - self.lent_bytes, WRITE_BUFFER_BYTES_MIN)


class RecordLookups:
    """How many keys processors asked stores for, and how many of them had to be asked of the backend. The loop's thread."""

    __slots__ = ("misses", "total")

    def __init__(self) -> None:
        self.total = 0
        self.misses = 0


_bounds = _Bounds()
# Of all stores of the process, for the status.
record_lookups = RecordLookups()
_lock = threading.Lock()
_sharers: dict[int, int] = {}  # id of a store's cache -> bytes it believes to hold; only those that hold any


@cache
def block_cache() -> Cache:
    """The block cache that every RocksDB store of the process reads through."""
    return Cache(_bounds.block_cache_bytes)


@cache
def write_buffers() -> WriteBufferManager:
    """The budget of all memtables together: when it is spent, the store that writes flushes; writers never stall."""
    return WriteBufferManager(_bounds.write_buffer_bytes_here, False)  # noqa: FBT003 - rocksdict takes it by place


def configure(
    *,
    block_cache_bytes: int | None = None,
    write_buffer_bytes: int | None = None,
    object_cache_bytes: int | None = None,
) -> None:
    """Set the bounds that are given, in bytes; takes effect at once, for open stores too."""
    if block_cache_bytes is not None:
        _bounds.block_cache_bytes = block_cache_bytes
        block_cache().set_capacity(block_cache_bytes)
    if write_buffer_bytes is not None:
        _bounds.write_buffer_bytes = write_buffer_bytes
        write_buffers().set_buffer_size(_bounds.write_buffer_bytes_here)
    if object_cache_bytes is not None:
        _bounds.object_cache_bytes = object_cache_bytes


def lend_write_buffers(change_bytes: int) -> None:
    """Let another process have so many bytes of the write buffers, or (below 0) have them back."""
    with _lock:
        _bounds.lent_bytes += change_bytes
        write_buffers().set_buffer_size(_bounds.write_buffer_bytes_here)


def object_cache_share(holder: int, held_bytes: int) -> int:
    """Report what a store's object cache holds and learn how many bytes it may hold.

    An equal share of the budget among the caches that hold anything; what the small ones leave goes to the large ones.
    """
    with _lock:
        if not held_bytes:
            _sharers.pop(holder, None)
            return 0
        _sharers[holder] = held_bytes
        equal = _bounds.object_cache_bytes // len(_sharers)
        if held_bytes <= equal:
            return equal
        small = [held for held in _sharers.values() if held <= equal]
        return (_bounds.object_cache_bytes - sum(small)) // (len(_sharers) - len(small))


def leave(holder: int) -> None:
    """A store's object cache is gone; the others' shares grow."""
    with _lock:
        _sharers.pop(holder, None)


def pinned_bytes() -> int:
    """Bytes of the block cache that cannot leave it: indexes and filters in use."""
    return block_cache().get_pinned_usage()


def usage() -> dict[str, int]:
    """Bytes used and allowed, under the names of the status topic (`memory`)."""
    with _lock:
        objects = sum(_sharers.values())
    return {
        "block_cache_bytes": block_cache().get_usage(),
        "block_cache_limit_bytes": _bounds.block_cache_bytes,
        "memtable_bytes": write_buffers().get_usage(),
        "memtable_limit_bytes": _bounds.write_buffer_bytes_here,
        "object_cache_bytes": objects,
        "object_cache_limit_bytes": _bounds.object_cache_bytes,
    }
