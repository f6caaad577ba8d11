"""Keys and values between bytes, JSON and query text, as the store's serde or the reader's format says.

Contract: docs/contracts.md, section 2. Undecodable bytes are shown as such in their row, never as a page's failure.
A `Codec` is made once per request and used by the thread that answers it.
"""

import base64
import binascii
import json as standard_json
import math
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Any

import msgspec
import orjson

from engine.query.refusal import Refusal, bad_request

# JavaScript reads integers exactly up to here; larger ones travel as decimal strings.
_SAFE_INTEGER = 2**53 - 1
# What a reader is told of why bytes could not be decoded.
_REASON_CHARS_MAX = 200
_SHOWN_CHARS_MAX = 60
# orjson writes 254 levels; an answer puts a value a few levels down.
_DEPTH_MAX = 200
_NUMBERS = {
    "int32": struct.Struct(">i"),
    "int64": struct.Struct(">q"),
    "float": struct.Struct(">f"),
    "double": struct.Struct(">d"),
}
_ALIASES = {"integer": "int32", "int": "int32", "long": "int64", "utf8": "string", "str": "string"}
# What these serdes read is shown as it is.
_PLAIN = frozenset({"string", "json", "int32", "int64", "boolean"})
_READ_AS_TEXT = frozenset({"string", "uuid", "base64", "hex", "bytes"})
FORMATS = ("string", "json", "int32", "int64", "float", "double", "base64", "hex", "bytes")


def serde_name(serde: Any) -> str:
    """Name the serde of a store; a store without one holds bytes."""
    if serde is None:
        return "bytes"
    name = getattr(serde, "name", None) or type(serde).__name__
    return _ALIASES.get(str(name), str(name))


@dataclass(frozen=True, slots=True)
class Codec:
    """One side, key or value, of a store: reads text and JSON into bytes, writes bytes as JSON.

    `kind` is one of FORMATS or the name of a serde that the engine does not know by name (Avro, a user's own);
    `serde` is None where the reader's format replaces the store's.
    """

    kind: str
    serde: Any

    def from_text(self, text: str, what: str) -> bytes:
        """Serialise a key that stands in a query string; raises a bad-request Refusal naming the parameter `what`."""
        if self.kind in _READ_AS_TEXT or self.kind in _NUMBERS:
            return self.from_json(text, what)
        try:
            value = msgspec.json.decode(text)
        except (ValueError, RecursionError) as error:
            raise bad_request(
                f"{what}={_shown(text)} is not JSON, which the {self.kind} serde reads: {error}"
            ) from error
        return self.from_json(value, what)

    def from_json(self, value: Any, what: str) -> bytes:
        """Serialise a key in the JSON form of an answer; raises a bad-request Refusal."""
        try:
            return self._serialized(value)
        except Refusal:
            raise
        except Exception as error:  # a user's serde may raise anything
            raise bad_request(
                f"{what} {_shown(value)} cannot be written as {self.kind}: {str(error)[:_REASON_CHARS_MAX]}; "
                f"give it in that form, or set key_format= to one of {', '.join(FORMATS)}"
            ) from error

    def prefix_from_text(self, text: str) -> bytes:
        """The leading bytes of keys; raises a bad-request Refusal for serdes whose text is not a prefix of bytes."""
        if self.kind in {"string", "json"}:
            return text.encode()
        if self.kind in {"base64", "hex", "bytes"}:
            return self.from_text(text, "prefix")
        raise bad_request(f"a prefix means nothing for {self.kind} keys: ask from= and to=, or set key_format=hex")

    def to_json(self, raw: bytes) -> Any:
        """Show `raw`: a JSON value, or its base64 with the reason why it is not one."""
        try:
            return self._shown(raw)
        except Exception as error:  # noqa: BLE001 (one bad row is shown beside the others, whatever its serde raises)
            return {
                "base64": base64.b64encode(raw).decode(),
                "undecodable": f"not {self.kind}: {str(error)[:_REASON_CHARS_MAX]}",
            }

    def _shown(self, raw: bytes) -> Any:
        if self.serde is not None and self.kind not in {"bytes", "base64", "hex"}:
            value = self.serde.deserialize(raw)
            return value if self.kind in _PLAIN else _plain(value)
        if self.kind == "hex":
            return raw.hex()
        if self.kind in {"bytes", "base64"}:
            return {"base64": base64.b64encode(raw).decode()}
        if self.kind == "string":
            return raw.decode()
        if self.kind == "json":
            return msgspec.json.decode(raw)
        return _plain(_NUMBERS[self.kind].unpack(raw)[0])

    def _serialized(self, value: Any) -> bytes:
        if self.kind in {"bytes", "base64", "hex"}:
            return _raw(value, is_hex=self.kind == "hex")
        if self.kind in _NUMBERS:
            value = _number(value, self.kind)
        elif self.kind in {"string", "uuid"}:
            if not isinstance(value, str):
                raise TypeError("a string was expected")
            value = uuid.UUID(value) if self.kind == "uuid" else value
        if self.serde is not None:
            return bytes(self.serde.serialize(value))
        if self.kind == "string":
            return str(value).encode()
        if self.kind == "json":
            return msgspec.json.encode(value)
        return _NUMBERS[self.kind].pack(value)


def codec(serde: Any, override: str | None, parameter: str) -> Codec:
    """The codec of a store's serde, or of the format that the reader asked for in `parameter`."""
    name = serde_name(serde)
    if override is None or override == name:
        return Codec(name, serde)
    override = _ALIASES.get(override, override)
    if override not in FORMATS:
        raise bad_request(f"{parameter}={_shown(override)} is not a format: use one of {', '.join(FORMATS)}")
    return Codec(override, None)


def write(body: Any) -> bytes:
    """Write an answer; integers that JavaScript would round become decimal strings, at whatever depth."""
    try:
        return orjson.dumps(body, _fallback, orjson.OPT_STRICT_INTEGER | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # An integer beyond 2^53, a lone surrogate, or a value that no serde of ours makes: found by walking.
        return orjson.dumps(_safe(body), _fallback, orjson.OPT_NON_STR_KEYS)


def _fallback(value: Any) -> Any:
    """Show what a user's serde made: values that JSON does not have."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, set | frozenset):
        return list(value)
    return repr(value)


def _safe(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, int) and not -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
        return str(value)
    if not isinstance(value, dict | list | tuple):
        return value
    if depth >= _DEPTH_MAX:
        return f"(nested deeper than {_DEPTH_MAX} levels)"
    if isinstance(value, dict):
        return {_safe(str(key)): _safe(item, depth + 1) for key, item in value.items()}
    return [_safe(item, depth + 1) for item in value]


def _plain(value: Any, depth: int = 0) -> Any:
    """A value as the answer will show it, so that filters compare what people see."""
    # Not their subclasses: a windowed key is a tuple too, and shown as its own.
    if depth < _DEPTH_MAX and type(value) is dict:
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if depth < _DEPTH_MAX and type(value) in {list, tuple, set, frozenset}:
        return [_plain(item, depth + 1) for item in value]
    for kinds, shown in _SHOWN_AS:
        if isinstance(value, kinds):
            return shown(value)
    return value


def _finite(value: float) -> float | str:
    """Name the numbers that JSON lacks; written as they are they would become null, which is no measured value."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


_SHOWN_AS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (float, _finite),
    ((uuid.UUID, Decimal), str),
    ((date, time), lambda value: value.isoformat()),
    ((bytes, bytearray, memoryview), _fallback),
)


def exact(body: Any) -> bytes:
    """JSON of what JSON holds, integers beyond 64 bits included."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return standard_json.dumps(body).encode()


def _number(value: Any, kind: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("a number was expected")
    if kind in {"float", "double"}:
        return float(value)
    if isinstance(value, float):
        if not value.is_integer():
            raise TypeError("a whole number was expected")
        return int(value)
    # int() also takes "1_000" and " 7 ", which are no numbers to anyone else.
    if isinstance(value, str) and not value.removeprefix("-").isdecimal():
        raise ValueError("a whole number was expected")
    number = int(value)
    bits = _NUMBERS[kind].size * 8 - 1
    if not -(2**bits) <= number < 2**bits:
        raise ValueError(f"it does not fit {kind}")
    return number


def _raw(value: Any, *, is_hex: bool) -> bytes:
    if isinstance(value, dict) and set(value) >= {"base64"}:
        value, is_hex = value["base64"], False
    if not isinstance(value, str):
        raise TypeError("text was expected")
    if is_hex:
        return bytes.fromhex(value)
    try:
        # The URL alphabet is welcome too: in a query string an unescaped + arrives as a space.
        return base64.b64decode(value.replace("-", "+").replace("_", "/").replace(" ", "+"), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…")
