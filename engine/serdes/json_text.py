"""The JSON serde: compact UTF-8, keys in their order, integers of any size exact, NaN and infinities refused.

Two libraries, because neither is right alone: msgspec reads integers beyond 64 bits exactly (orjson turns them into
floats) and orjson refuses what JSON cannot hold (msgspec turns keys into text and bytes into base64 without a word).
"""

from __future__ import annotations

import json as standard_json
from collections.abc import Iterable
from math import isfinite
from typing import Any

import msgspec
import orjson

from engine.serdes.serde import Serde, refuse_bytes, refuse_value

# A dataclass or a datetime would come back as something else: the user converts it, on purpose and in sight.
_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


class Json(Serde):
    """dict, list, str, int, float, bool and nested None; tuples are written as lists."""

    name = "json"
    immutable = False

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder().decode

    def serialize(self, value: Any) -> bytes:
        """See `Serde`."""
        if value is None:
            raise refuse_value(self.name, value, "None is a tombstone, not a value")
        try:
            # orjson's own bytes keep the kilobytes that it wrote them in; stores and producers hold many, so: a copy.
            data = bytes(memoryview(orjson.dumps(value, option=_STRICT)))
        except (TypeError, orjson.JSONEncodeError) as error:
            return self._serialize_slowly(value, error)
        # orjson writes NaN and infinities as null; only a text with a null in it can hide one.
        if b"null" in data and (bad := _not_finite(value)) is not None:
            raise refuse_value(self.name, value, f"JSON has no {bad}")
        return data

    def deserialize(self, data: bytes) -> Any:
        """See `Serde`."""
        try:
            return self._decode(data)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise refuse_bytes(self.name, data, str(error)) from error

    def deserialize_many(self, data: Iterable[bytes | None]) -> list[Any]:
        """See `Serde`."""
        data = data if isinstance(data, (list, tuple)) else list(data)
        try:
            return list(map(self._decode, data))
        except (TypeError, msgspec.DecodeError, ValueError, RecursionError):
            return super().deserialize_many(data)

    def _serialize_slowly(self, value: Any, error: Exception) -> bytes:
        """What orjson refuses because of an integer beyond 64 bits, or the error in words."""
        if "64-bit" not in str(error):
            raise refuse_value(self.name, value, str(error)) from error
        try:
            _check_keys(value)
            text = standard_json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
            return text.encode()
        except (TypeError, ValueError, RecursionError) as slow_error:
            raise refuse_value(self.name, value, str(slow_error)) from slow_error


def _not_finite(value: Any) -> str | None:
    """The first float in `value` that JSON can't hold, in words, or None."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, float):
            if not isfinite(item):
                return str(item)
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, (list, tuple)):
            pending.extend(item)
    return None


def _check_keys(value: Any) -> None:
    """Raise TypeError for a dict key that is not text: the standard library would turn it into text in silence."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            for key in item:
                if not isinstance(key, str):
                    raise TypeError("Dict key must be str")
            pending.extend(item.values())
        elif isinstance(item, (list, tuple)):
            pending.extend(item)


json = Json()
