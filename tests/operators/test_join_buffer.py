"""The buffer of a stream-table join with grace, where its count of arrivals has no more numbers."""

from __future__ import annotations

from typing import Any

import pytest

from engine import serdes
from engine.operators.join_buffer import JoinBuffer
from engine.records import Batch
from engine.topology.stores import StoreSpec

from .lone_operator import LoneContext

LAST = 2**31 - 1
SPEC = StoreSpec("b", "key-value", "memory", serdes.bytes, serdes.bytes, caching=False)


def buffer(context: LoneContext, sequence: int | None = None) -> JoinBuffer:
    made = JoinBuffer(context.store("b"), context, 10, serdes.string, serdes.string)  # type: ignore[arg-type]
    if sequence is not None:
        made._sequence = sequence
    return made


def put(to: JoinBuffer, key: str, *values: str) -> None:
    for value in values:
        assert to.put(Batch([key], [value], [5]))


def released(of: JoinBuffer) -> list[tuple[Any, Any]]:
    assert of.put(Batch(["later"], ["z"], [100]))
    return [(batch.keys[0], batch.values[0]) for batch in of.release()]


@pytest.mark.parametrize("restarts", [False, True])
def test_records_keep_their_order_past_the_last_number(*, restarts: bool) -> None:
    context = LoneContext(caching=False)
    context.add_store(SPEC)
    kept = buffer(context, LAST - 2)
    for value in "abcde":
        put(kept, "k", value)
        if restarts:
            kept = buffer(context)
    put(kept, "j", "f", "g")
    expected = [("j", "f"), ("j", "g"), *(("k", value) for value in "abcde")]
    assert released(kept) == expected


def test_a_restart_goes_on_behind_the_highest_number_that_waits() -> None:
    context = LoneContext(caching=False)
    context.add_store(SPEC)
    put(buffer(context, 40), "k", "a", "b")
    kept = buffer(context)
    put(kept, "k", "c")
    assert kept._sequence == 43
    assert released(kept) == [("k", "a"), ("k", "b"), ("k", "c")]
