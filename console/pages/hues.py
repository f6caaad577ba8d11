"""Which of the eight hues an instance has: stable across pages, restarts of the console, and readers.

The name's hash chooses. When two instances of one application choose the same, the later by name takes the next free
hue, since telling them apart matters more than one instance keeping its colour for ever.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HUES = 8


def preferred(instance: str) -> int:
    """Return the hue that the name alone chooses."""
    return zlib.crc32(instance.encode()) % HUES


def palette(instances: Iterable[str]) -> dict[str, int]:
    """Return instance -> hue; above eight instances hues repeat, and the name on hover tells them apart."""
    chosen: dict[str, int] = {}
    for instance in sorted(set(instances)):
        hue = preferred(instance)
        if len(chosen) < HUES:
            while hue in chosen.values():
                hue = (hue + 1) % HUES
        chosen[instance] = hue
    return chosen
