"""RocksDB's settings for a store: ours, chosen for state that a changelog can rebuild, and the user's on top."""

from __future__ import annotations

from typing import Any

from rocksdict import BlockBasedOptions, DBCompressionType, Options

from engine.errors import ConfigError
from engine.stores import memory_budget

# Inserts slow down as a memtable outgrows the processor's cache: 0.8 µs at 8 MB, 1.2 at 32 (Kafka Streams: 16 MB).
_WRITE_BUFFER_BYTES = 8 * 1024 * 1024
_BLOCK_BYTES = 4 * 1024
_BLOOM_BITS_PER_KEY = 10
# Descriptors per database; beyond it RocksDB closes the files that it used least.
_OPEN_FILES_MAX = 200
_INFO_LOG_BYTES = 1024 * 1024

# What the guarantees rest on; a user who could set these could lose state.
_OURS = frozenset({"atomic_flush", "create_if_missing", "create_missing_column_families", "wal_dir", "env"})
_COMPRESSION = ("none", "lz4", "zstd", "snappy", "zlib", "bz2", "lz4hc")


def make_options(overrides: dict[str, Any]) -> Options:
    """Options for one column family of a store.

    `overrides` maps the names of RocksDB options (rocksdict's `set_…` methods without `set_`) to their argument, for
    example `{"write_buffer_size": 67108864, "compression_type": "zstd"}`. Raises ConfigError for others.
    """
    options = Options(raw_mode=True)
    options.create_if_missing(True)  # noqa: FBT003 - rocksdict takes switches by place, here and below
    options.create_missing_column_families(True)  # noqa: FBT003
    options.set_atomic_flush(True)
    options.set_write_buffer_manager(memory_budget.write_buffers())
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(3)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_background_jobs(2)
    options.set_max_open_files(_OPEN_FILES_MAX)
    options.set_keep_log_file_num(1)
    options.set_max_log_file_size(_INFO_LOG_BYTES)
    options.set_stats_dump_period_sec(0)
    options.set_block_based_table_factory(_tables())
    for name, value in overrides.items():
        _override(options, name, value)
    return options


def _tables() -> BlockBasedOptions:
    tables = BlockBasedOptions()
    tables.set_block_cache(memory_budget.block_cache())
    tables.set_block_size(_BLOCK_BYTES)
    tables.set_bloom_filter(_BLOOM_BITS_PER_KEY, False)  # noqa: FBT003
    # Indexes and filters count against the one budget too, instead of growing with the data.
    tables.set_cache_index_and_filter_blocks(True)
    tables.set_pin_l0_filter_and_index_blocks_in_cache(True)
    return tables


def _override(options: Options, name: str, value: Any) -> None:
    setter = getattr(options, f"set_{name}", None)
    if setter is None or name in _OURS:
        raise ConfigError(f"RocksDB setting {name!r} is unknown or not yours to set")
    if name == "compression_type":
        if value not in _COMPRESSION:
            raise ConfigError(f"compression_type {value!r} is none of {', '.join(_COMPRESSION)}")
        value = getattr(DBCompressionType, value)()
    try:
        setter(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"RocksDB setting {name!r} does not take {value!r}: {error}") from error
