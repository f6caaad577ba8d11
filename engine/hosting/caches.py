"""How the process's caches serve their reads, for the status. Called on the reporter's thread only."""

import time
from collections import deque

from engine.control import status
from engine.stores import memory_budget, rocks_options

# A hit ratio looks back this far: since the start it would hide that a cache has become too small.
RATIO_SECONDS = 60.0
# RocksDB's statistics come as a text of some 200 lines, so they are not read with every report.
READ_SECONDS = 2.0


class HitRatio:
    """The share of hits in the last minute, from totals that are looked at now and then."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()

    def of(self, hits: int, misses: int, now: float) -> float | None:
        """Note the totals; None while nothing was asked since the look that is a minute old."""
        self._seen.append((now, hits, misses))
        while len(self._seen) > 2 and now - self._seen[1][0] >= RATIO_SECONDS:  # noqa: PLR2004 - two looks make a ratio
            self._seen.popleft()
        _, first_hits, first_misses = self._seen[0]
        found, asked = hits - first_hits, hits - first_hits + misses - first_misses
        return round(found / asked, 4) if asked > 0 else None


class Caches:
    """Looks at both caches."""

    def __init__(self) -> None:
        self._block, self._record = HitRatio(), HitRatio()
        self._looked_at = float("-inf")
        self._newest: list[status.CacheUse] = []

    def look(self) -> list[status.CacheUse]:
        """Both, as looked at not more than `READ_SECONDS` ago."""
        now = time.monotonic()
        if now - self._looked_at >= READ_SECONDS:
            self._looked_at = now
            lookups = memory_budget.record_lookups
            misses = lookups.misses
            self._newest = [
                _use("block-cache", self._block, *rocks_options.block_cache_lookups(), now),
                # The loop goes on counting meanwhile: a hit is never less than nothing.
                _use("record-cache", self._record, max(lookups.total - misses, 0), misses, now),
            ]
        return self._newest


def _use(name: str, ratio: HitRatio, hits: int, misses: int, now: float) -> status.CacheUse:
    return status.CacheUse(
        name=name,  # type: ignore[arg-type]
        hits_total=hits,
        misses_total=misses,
        hit_ratio=ratio.of(hits, misses, now),
    )
