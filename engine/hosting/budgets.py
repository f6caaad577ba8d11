"""The named limits of an instance: what each bounds, how much of it is used, and what to do when its end is near.

Called on the reporter's thread with figures that others measured. Pure functions but for two cheap questions to the
operating system. A budget without advice has room; what is not known is left out, never shown as 0.
"""

from collections.abc import Iterable
from pathlib import Path

import psutil

from engine.control import status
from engine.runtime.active_task import OpenStore
from engine.stores import memory_budget

# From here on the status says what to do.
NEAR_SHARE = 0.9
# A disk is nearly full with less than this share free, or on a large disk with less than so many bytes…
DISK_FREE_SHARE = 0.05
DISK_FREE_BYTES = 10 * 1024 * 1024 * 1024
# …but never later than at this many times the bound at which the engine stops.
DISK_FREE_BOUNDS = 4

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def budgets(
    *,
    disk: status.Disk,
    disk_bytes: int | None,
    disk_free_bytes_min: int,
    rss_bytes: int,
    uncommitted_bytes: int,
    uncommitted_bytes_max: int,
    stores: Iterable[OpenStore],
) -> list[status.Budget]:
    """Every budget of the instance. `disk_bytes` is the size of the file system that the state directory is on."""
    in_memory = [o for o in stores if o.spec.backend != "rocksdb"]
    found = [
        *_rocksdb(),
        # Its end only brings the next commit forward, so there is never anything to do about it.
        status.Budget(name="uncommitted", used=uncommitted_bytes, limit=uncommitted_bytes_max),
        *_bounded(in_memory),
        _memory(rss_bytes, in_memory),
    ]
    of_disk = _disk(disk, disk_bytes, disk_free_bytes_min)
    return found if of_disk is None else [*found, of_disk]


def pressure(found: Iterable[status.Budget]) -> list[status.Pressure]:
    """The budgets that near their end."""
    return [
        status.Pressure(what=each.name, used=each.used, limit=each.limit or 0, advice=each.advice)
        for each in found
        if each.advice is not None
    ]


def _rocksdb() -> list[status.Budget]:
    used = memory_budget.usage()
    cache = status.Budget(name="block-cache", used=used["block_cache_bytes"], limit=used["block_cache_limit_bytes"])
    # A cache is meant to be full; only what cannot leave it is a burden.
    if memory_budget.pinned_bytes() > NEAR_SHARE * used["block_cache_limit_bytes"]:
        cache.advice = (
            "indexes and filters of the stores fill the block cache, so that each read goes to disk: raise "
            "block_cache_bytes, or start more instances"
        )
    buffers = status.Budget(name="write-buffers", used=used["memtable_bytes"], limit=used["memtable_limit_bytes"])
    # At its end the largest memtable is flushed: beyond it the disk does not keep up.
    if used["memtable_bytes"] > used["memtable_limit_bytes"]:
        buffers.advice = (
            "stores are written faster than the disk takes it: raise write_buffer_bytes, use a faster disk, or start "
            "more instances"
        )
    return [cache, buffers]


def _bounded(in_memory: list[OpenStore]) -> list[status.Budget]:
    """One budget a bounded store: that of its fullest partition here, for each has the bound to itself."""
    fullest: dict[str, status.Budget] = {}
    for opened in in_memory:
        limit, used = opened.spec.max_bytes, opened.size_bytes or 0
        if limit is None or (opened.spec.name in fullest and fullest[opened.spec.name].used >= used):
            continue
        budget = status.Budget(name=f"store {opened.spec.name}", used=used, limit=limit)
        if used > NEAR_SHARE * limit:
            budget.advice = (
                "a partition of this in-memory store nears its bound, at which the engine stops: use a persistent store, "
                "raise max_bytes, shorten its retention, or keep the data in a database of your own"
            )
        fullest[opened.spec.name] = budget
    return [fullest[name] for name in sorted(fullest)]


def _memory(rss_bytes: int, in_memory: list[OpenStore]) -> status.Budget:
    limit = rss_bytes + psutil.virtual_memory().available
    allowed = _cgroup_limit()
    if allowed is not None:
        limit = min(limit, allowed)
    budget = status.Budget(name="memory", used=rss_bytes, limit=limit)
    if rss_bytes > NEAR_SHARE * limit:
        held = sum(o.size_bytes or 0 for o in in_memory)
        budget.advice = (
            f"memory is nearly used up ({held:,} bytes of it by in-memory stores): use persistent stores, lower "
            "block_cache_bytes and write_buffer_bytes, or start instances on other hosts"
        )
    return budget


def _cgroup_limit() -> int | None:
    try:
        text = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _disk(disk: status.Disk, disk_bytes: int | None, free_min: int) -> status.Budget | None:
    if disk.free_bytes is None or disk.state_dir_bytes is None or disk_bytes is None:
        return None
    budget = status.Budget(name="disk", used=disk.state_dir_bytes, limit=disk.state_dir_bytes + disk.free_bytes)
    if disk.free_bytes < max(min(DISK_FREE_SHARE * disk_bytes, DISK_FREE_BYTES), DISK_FREE_BOUNDS * free_min):
        budget.advice = (
            f"{disk.free_bytes:,} bytes are free, and the engine stops below {free_min:,}: make room, shorten retentions, "
            "or start instances on other hosts, so that this one holds fewer partitions"
        )
    return budget
