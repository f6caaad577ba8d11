"""The application `slow-lane`: deliberately slower than its input, to show what lag looks like."""

from __future__ import annotations

import time
from typing import Any

from engine import Consumed, Grouped, Materialized, StreamsBuilder, serdes

# At most 25 records a second; the replay brings about 40.
SECONDS_PER_RECORD = 0.04


def build(builder: StreamsBuilder) -> None:
    """Arrivals by destination, with a nap at each record."""
    flights = builder.stream("flights", Consumed(serdes.string, serdes.json))
    flights.map_values(dawdle).group_by(
        lambda _, flight: flight["dest"], Grouped("by-destination", serdes.string, serdes.json)
    ).count(Materialized("arrivals-by-destination", serdes.string, serdes.int64))


def dawdle(flight: dict[str, Any]) -> dict[str, Any]:
    """Sleep, then hand the record on as it is."""
    time.sleep(SECONDS_PER_RECORD)
    return flight
