"""What each option of an operator or a store takes: one table by the option's name, looked at where the option is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from engine.errors import ConfigError
from engine.serdes.serde import check_serde
from engine.topology import rocksdb_settings
from engine.topology.callables import check_callable

Check = Callable[[Any, str], object]


def _flag(given: Any, what: str) -> None:
    if not isinstance(given, bool):
        raise ConfigError(f"{what} is {given!r}: give True or False")


def _whole(least: int) -> Check:
    def check(given: Any, what: str) -> None:
        if isinstance(given, bool) or not isinstance(given, int) or given < least:
            raise ConfigError(f"{what} is {given!r}: give a whole number, {least} or more")

    return check


def _texts(given: Any, what: str) -> None:
    if not isinstance(given, Mapping) or not all(isinstance(each, str) for pair in given.items() for each in pair):
        raise ConfigError(f"{what} is {given!r}: give names and values as text, such as {{'retention.ms': '86400000'}}")


def _called_with(call: str) -> Check:
    def check(given: Any, what: str) -> None:
        check_callable(given, what.rpartition(": ")[2].replace("_", " "), call)

    return check


_PARTITIONER = _called_with("topic, key, value, partitions")
_TAKES: dict[str, Check] = {
    "key_serde": check_serde,
    "value_serde": check_serde,
    "other_value_serde": check_serde,
    "timestamp_extractor": _called_with("record, partition_time"),
    "partitioner": _PARTITIONER,
    "other_partitioner": _PARTITIONER,
    "logging": _flag,
    "caching": _flag,
    "timestamped": _flag,
    "retain_duplicates": _flag,
    "emit_final": _flag,
    "single_store": _flag,
    "emit_early": _flag,
    "topic_config": _texts,
    "rocksdb": rocksdb_settings.check,
    "retention_ms": _whole(0),
    "window_ms": _whole(0),
    "history_ms": _whole(0),
    "grace_ms": _whole(0),
    "segment_interval_ms": _whole(1),
    "partitions": _whole(1),
    "max_entries": _whole(1),
    "max_bytes": _whole(1),
    "records_max": _whole(0),
    "bytes_max": _whole(0),
}


def check_options(options: Any, what: str) -> None:
    """Raise ConfigError (of a function TopologyError) for a field of a dataclass that is not what its name stands for.

    `what` begins the message. None passes where it is the default: nothing was said.
    """
    for each in fields(options):
        given = getattr(options, each.name)
        if each.name in _TAKES and not (given is None and each.default is None):
            _TAKES[each.name](given, f"{what}: {each.name}")
