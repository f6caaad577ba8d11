"""The application `flights`: what the year's departures add up to, in six stores.

Run it with `manage.py engine run engine.demo.flights:build --application-id flights`. The topic `flights` is keyed by
the airport of departure, so the windows need no repartition and nothing in them comes late.
"""

from __future__ import annotations

from typing import Any

from engine import Consumed, Grouped, Joined, Materialized, Repartitioned, StreamsBuilder, TimeWindows, serdes

PARTITIONS = 4
BUSIEST = 10
DAY_MS = 24 * 60 * 60 * 1000
# The whole year stays in view, and some of the next.
RETENTION_MS = 400 * DAY_MS

Fields = dict[str, Any]


def build(builder: StreamsBuilder) -> None:
    """Departures by carrier, delay by airport and hour, seats by destination, the busiest aircraft."""
    flights = builder.stream("flights", Consumed(serdes.string, serdes.json))
    planes = builder.table("planes", Consumed(serdes.string, serdes.json), Materialized("planes"))
    builder.table("airlines", Consumed(serdes.string, serdes.json), Materialized("airlines"))
    builder.table("airports", Consumed(serdes.string, serdes.json), Materialized("airports"))

    flights.group_by(lambda _, flight: flight["carrier"], Grouped("by-carrier", serdes.string, serdes.json)).count(
        Materialized("departures-by-carrier", serdes.string, serdes.int64)
    )
    flights.group_by_key().windowed_by(TimeWindows.of(hours=1, grace_minutes=10)).aggregate(
        no_delay, add_delay, Materialized("delay-by-hour", serdes.string, serdes.json, retention_ms=RETENTION_MS)
    )

    by_aircraft = (
        flights.filter(lambda _, flight: flight["tailnum"] is not None)
        .select_key(lambda _, flight: flight["tailnum"])
        .repartition(Repartitioned("by-aircraft", serdes.string, serdes.json, partitions=PARTITIONS))
    )
    (
        by_aircraft.join(planes, with_seats, Joined("with-plane", serdes.string, serdes.json))
        .group_by(lambda _, flight: flight["dest"], Grouped("by-destination", serdes.string, serdes.json))
        .aggregate(
            int,
            lambda _, flight, seats: seats + flight["seats"],
            Materialized("seats-by-destination", serdes.string, serdes.int64),
        )
    )
    flown = by_aircraft.group_by_key().count(Materialized("flights-by-aircraft", serdes.string, serdes.int64))
    flown.group_by(by_registration, Grouped("by-registration", serdes.string, serdes.json)).aggregate(
        list, add_aircraft, remove_aircraft, Materialized("busiest-aircraft", serdes.string, serdes.json)
    )


def no_delay() -> Fields:
    """An hour in which nothing has left yet."""
    return {"flights": 0, "departed": 0, "delay_minutes": 0, "mean_delay": None}


def add_delay(_: str, flight: Fields, hour: Fields) -> Fields:
    """Count a departure; one without a delay on record never left."""
    delay = flight["dep_delay"]
    departed = hour["departed"] + (delay is not None)
    minutes = hour["delay_minutes"] + (delay or 0)
    return {
        "flights": hour["flights"] + 1,
        "departed": departed,
        "delay_minutes": minutes,
        "mean_delay": round(minutes / departed, 1) if departed else None,
    }


def with_seats(flight: Fields, plane: Fields) -> Fields:
    """A departure with the seats of its aircraft."""
    return {"dest": flight["dest"], "seats": plane["seats"] or 0}


def by_registration(tail: str, flights: int) -> tuple[str, Fields]:
    """File an aircraft's count under the first letter of its registration, which is its country's."""
    return tail[:1], {"aircraft": tail, "flights": flights}


def add_aircraft(_: str, entry: Fields, busiest: list[Fields]) -> list[Fields]:
    """Put an aircraft in its place among the busiest."""
    ranked = sorted([*busiest, entry], key=lambda each: (-each["flights"], each["aircraft"]))
    return ranked[:BUSIEST]


def remove_aircraft(_: str, entry: Fields, busiest: list[Fields]) -> list[Fields]:
    """Take an aircraft out, before it comes back with a higher count: counts only grow, so none is lost by the cut."""
    return [each for each in busiest if each["aircraft"] != entry["aircraft"]]
