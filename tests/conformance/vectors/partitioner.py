"""I1: the default partitioner."""

from functools import cache
from typing import Any

from engine import serdes
from engine.partitioning import murmur2, partition_for
from tests.conformance.vectors.sections import known, section

ENCODINGS = {
    "utf8": serdes.string.serialize,
    "int32be": lambda text: serdes.int32.serialize(int(text)),
    "int64be": lambda text: serdes.int64.serialize(int(text)),
}
MASK = 2**64 - 1


@section("I1")
def check(vector: dict[str, Any], _shared: dict[str, Any], *, batch: bool) -> None:  # noqa: ARG001 - no records
    known(vector, "utf8 key enc hex murmur2 p3 p6 p12 p48 checksum")
    if "checksum" in vector:
        assert hex(_checksum()) == vector["checksum"]
        return
    encoding, text = (vector["enc"], vector["key"]) if "key" in vector else ("utf8", vector["utf8"])
    key = ENCODINGS[encoding](text)
    assert vector.get("hex", key.hex()) == key.hex()
    assert murmur2(key) == vector["murmur2"]
    for count in (3, 6, 12, 48):
        if f"p{count}" in vector:
            assert partition_for(key, count) == vector[f"p{count}"]


@cache  # 50 MB are hashed, and both modes ask
def _checksum() -> int:
    """Unsigned hashes of 100 arrays of each length 0..1000 from java.util.SplittableRandom(0).nextBytes."""
    state, total = 0, 0
    for length in range(1001):
        for _ in range(100):
            words = bytearray()
            while len(words) < length:
                state = (state + 0x9E3779B97F4A7C15) & MASK
                mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
                mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
                words += (mixed ^ (mixed >> 31)).to_bytes(8, "little")
            total += murmur2(bytes(words[:length])) & 0xFFFFFFFF
    return total
