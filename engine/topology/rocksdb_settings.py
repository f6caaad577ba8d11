"""Which of RocksDB's settings a store may be given, and what each takes: an allow-list, checked when the store is described.

The names are this project's, with their units; `engine.stores.rocks_options` applies them. What is not here is the
engine's: memory is bounded for the whole process, and some options (`atomic_flush`, the log) hold up the guarantees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import ConfigError

COMPRESSIONS = ("none", "lz4", "lz4hc", "snappy", "zlib", "zstd", "bz2")
COMPACTIONS = ("level", "universal")
# Lowest and highest value of each number. A block is read as a whole; a memtable larger than these outgrows any budget.
NUMBERS = {
    "block_size": (512, 4 * 1024 * 1024),
    "write_buffer_bytes": (64 * 1024, 1024 * 1024 * 1024),
    "write_buffer_count": (2, 16),
    "bloom_bits_per_key": (0, 64),
    "open_files_max": (16, 100_000),
}
CHOICES = {"compression": COMPRESSIONS, "bottommost_compression": COMPRESSIONS, "compaction": COMPACTIONS}


def check(settings: Mapping[str, Any], what: str) -> None:
    """Raise ConfigError for a setting that cannot be given, or a value that it does not take."""
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{what} is {settings!r}: give settings by name, such as {{'compression': 'zstd'}}")
    for name, value in settings.items():
        if name in CHOICES:
            if value not in CHOICES[name]:
                raise ConfigError(f"{what} {name} {value!r} is none of {', '.join(CHOICES[name])}")
        elif name in NUMBERS:
            lowest, highest = NUMBERS[name]
            if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
                raise ConfigError(f"{what} {name} is {value!r}: give a whole number from {lowest:,} to {highest:,}")
        else:
            known = ", ".join(sorted([*CHOICES, *NUMBERS]))
            raise ConfigError(f"{what} setting {name!r} cannot be given. Those that can: {known}")
