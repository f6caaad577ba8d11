"""RocksDB's settings for a store: ours, chosen for state that a changelog can rebuild, and the user's on top."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any

from rocksdict import BlockBasedOptions, DBCompactionStyle, DBCompressionType, Options

from engine.stores import memory_budget

# Inserts slow down as a memtable outgrows the processor's cache: 0.8 µs at 8 MB, 1.2 at 32 (Kafka Streams: 16 MB).
_WRITE_BUFFER_BYTES = 8 * 1024 * 1024
_WRITE_BUFFER_COUNT = 3
_BLOCK_BYTES = 4 * 1024
_BLOOM_BITS_PER_KEY = 10
# Descriptors per database; beyond it RocksDB closes the files that it used least.
_OPEN_FILES_MAX = 200
_INFO_LOG_BYTES = 1024 * 1024
# A MANIFEST grows with every flush and compaction and is checked at each opening; a longer one is written anew.
_MANIFEST_BYTES = 16 * 1024 * 1024
_CACHE_LOOKUPS = re.compile(r"^rocksdb\.block\.cache\.(hit|miss) COUNT : ([0-9]+)$", re.MULTILINE)

# Options of whole databases by their settings. RocksDB's statistics hang on them: one object a database would cost 340 kB
# each, and a process may have thousands; shared, they count for all stores of the same settings together.
_databases: dict[str, Options] = {}
_lock = threading.Lock()


def make_options(given: Mapping[str, Any]) -> Options:
    """Options for one column family of a store.

    `given` are settings by the names of `engine.topology.rocksdb_settings`, checked there when the store was described.
    """
    options = Options(raw_mode=True)
    options.create_if_missing(True)  # noqa: FBT003 - rocksdict takes switches by place, here and below
    options.create_missing_column_families(True)  # noqa: FBT003
    options.set_atomic_flush(True)
    options.set_write_buffer_manager(memory_budget.write_buffers())
    options.set_write_buffer_size(given.get("write_buffer_bytes", _WRITE_BUFFER_BYTES))
    options.set_max_write_buffer_number(given.get("write_buffer_count", _WRITE_BUFFER_COUNT))
    options.set_compression_type(_compression(given.get("compression", "lz4")))
    if "bottommost_compression" in given:
        options.set_bottommost_compression_type(_compression(given["bottommost_compression"]))
    if given.get("compaction") == "universal":
        options.set_compaction_style(DBCompactionStyle.universal())
    options.set_max_background_jobs(2)
    options.set_max_open_files(given.get("open_files_max", _OPEN_FILES_MAX))
    options.set_keep_log_file_num(1)
    options.set_max_log_file_size(_INFO_LOG_BYTES)
    options.set_max_manifest_file_size(_MANIFEST_BYTES)
    options.set_stats_dump_period_sec(0)
    options.set_block_based_table_factory(_tables(given))
    return options


def database_options(given: Mapping[str, Any]) -> Options:
    """Options for the database as a whole, shared by all stores of the process with the same settings. They count reads."""
    name = repr(sorted(given.items()))
    with _lock:
        if name not in _databases:
            options = make_options(given)
            options.enable_statistics()
            _databases[name] = options
        return _databases[name]


def block_cache_lookups() -> tuple[int, int]:
    """(hits, misses) of the process's block cache since it started: blocks that reads found in it, or took from files."""
    with _lock:
        texts = [options.get_statistics() or "" for options in _databases.values()]
    found = {"hit": 0, "miss": 0}
    for text in texts:
        for what, count in _CACHE_LOOKUPS.findall(text):
            found[what] += int(count)
    return found["hit"], found["miss"]


def _tables(given: Mapping[str, Any]) -> BlockBasedOptions:
    tables = BlockBasedOptions()
    tables.set_block_cache(memory_budget.block_cache())
    tables.set_block_size(given.get("block_size", _BLOCK_BYTES))
    bits = given.get("bloom_bits_per_key", _BLOOM_BITS_PER_KEY)
    if bits:
        tables.set_bloom_filter(bits, False)  # noqa: FBT003
    # Indexes and filters count against the one budget too, instead of growing with the data.
    tables.set_cache_index_and_filter_blocks(True)
    tables.set_pin_l0_filter_and_index_blocks_in_cache(True)
    return tables


def _compression(name: str) -> DBCompressionType:
    found: DBCompressionType = getattr(DBCompressionType, name)()
    return found
