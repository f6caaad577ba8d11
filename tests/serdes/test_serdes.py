"""Java's bytes, exactly; what does not fit is refused in words."""

import datetime as dt
import math
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import serdes
from engine.errors import DeserializationError, SerializationError
from engine.records import Windowed

JAVA = [
    (serdes.int32, -2, "fffffffe"),
    (serdes.int32, 2**31 - 1, "7fffffff"),
    (serdes.int64, 1, "0000000000000001"),
    (serdes.int64, -(2**63), "8000000000000000"),
    (serdes.double, 1.5, "3ff8000000000000"),
    (serdes.double, -math.inf, "fff0000000000000"),
    (serdes.boolean, True, "01"),
    (serdes.boolean, False, "00"),
    (serdes.string, "ß日", "c39fe697a5"),
    (serdes.string, "", ""),
    (serdes.bytes, b"\x00\xff", "00ff"),
    (serdes.uuid, uuid.UUID(int=1), b"00000000-0000-0000-0000-000000000001".hex()),
    (serdes.json, {"b": [1, None], "a": "é"}, b'{"b":[1,null],"a":"\xc3\xa9"}'.hex()),
]


@pytest.mark.parametrize(("serde", "value", "written"), JAVA)
def test_values_are_written_as_java_writes_them(serde, value, written):
    assert serde.serialize(value).hex() == written
    assert serde.deserialize(bytes.fromhex(written)) == value
    assert serde.serialize_many([value, None, value]) == [bytes.fromhex(written), None, bytes.fromhex(written)]
    assert serde.deserialize_many([None, bytes.fromhex(written)]) == [None, value]
    assert serde.deserialize_many(iter([bytes.fromhex(written)])) == [value]


@pytest.mark.parametrize(
    ("serde", "value"),
    [
        (serdes.int32, 2**31),
        (serdes.int64, 2**63),
        (serdes.int64, 1.0),
        (serdes.int64, "1"),
        (serdes.double, "1"),
        (serdes.string, b"x"),
        (serdes.string, "\ud800"),
        (serdes.bytes, "x"),
        (serdes.boolean, 1),
        (serdes.uuid, "00000000-0000-0000-0000-000000000001"),
        (serdes.json, math.nan),
        (serdes.json, [None, {"x": -math.inf}]),
        (serdes.json, {1: "x"}),
        (serdes.json, {1: 2**70}),
        (serdes.json, [2**70, math.nan]),
        (serdes.json, {"x": {1, 2}}),
        (serdes.json, dt.date(2026, 1, 1)),
        (serdes.json, b"x"),
        (serdes.json, "\ud800"),
        (serdes.json, None),
    ],
)
def test_what_does_not_fit_is_refused_with_the_serdes_name(serde, value):
    with pytest.raises(SerializationError, match=f"serde {serde.name} cannot write"):
        serde.serialize(value)
    with pytest.raises(SerializationError):
        serde.serialize_many([value] if value is not None else [math.nan])


@pytest.mark.parametrize(
    ("serde", "data"),
    [
        (serdes.int32, b"123"),
        (serdes.int64, b"123456789"),
        (serdes.double, b""),
        (serdes.boolean, b"\x02"),
        (serdes.boolean, b""),
        (serdes.string, b"\xff"),
        (serdes.uuid, b"{00000000-0000-0000-0000-000000000001}"),
        (serdes.uuid, b"\xff"),
        (serdes.json, b""),
        (serdes.json, b"{"),
        (serdes.json, b"NaN"),
        (serdes.json, b"1e999"),
        (serdes.json, b'"\xff"'),
        (serdes.json, b"[" * 100_000),
    ],
)
def test_bytes_that_cannot_be_read_are_shown(serde, data):
    with pytest.raises(DeserializationError, match=f"serde {serde.name} cannot read {len(data)} bytes"):
        serde.deserialize(data)
    with pytest.raises(DeserializationError):
        serde.deserialize_many([data])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)  # fmt: skip


@given(JSON.filter(lambda value: value is not None))
def test_json_comes_back_as_it_went(value):
    data = serdes.json.serialize(value)
    found = serdes.json.deserialize(data)
    assert found == value
    assert repr(found) == repr(value)  # tells 1 from 1.0 and True, and one order of keys from another


def test_windowed_keys_are_java_s():
    window = Windowed("a", 60_000, 60_010)
    tumbling = serdes.TimeWindowedSerde(serdes.string, 10)
    assert tumbling.serialize(window).hex() == "61000000000000ea60"
    assert tumbling.deserialize(tumbling.serialize(window)) == window
    assert tumbling.deserialize(b"a" + (2**63 - 5).to_bytes(8)).end == 2**63 - 1
    session = serdes.SessionWindowedSerde(serdes.string)
    assert session.serialize(Windowed("a", 1, 2)).hex() == "61" + "0000000000000002" + "0000000000000001"
    assert session.deserialize(session.serialize(Windowed("a", 1, 2))) == Windowed("a", 1, 2)
    for serde in (tumbling, session):
        with pytest.raises(SerializationError):
            serde.serialize("a")
        with pytest.raises(DeserializationError):
            serde.deserialize(b"1234567")


def test_every_immutable_serde_gives_immutable_values():
    immutable = [serde for serde, _, _ in JAVA if serde.immutable]
    assert {serde.name for serde in immutable} == {"int32", "int64", "double", "boolean", "string", "bytes", "uuid"}
    assert not serdes.json.immutable
