"""The example of design §3, word for word, under the test driver."""
# ruff: noqa: ARG005, RUF005 - as the design has it

from engine import (
    Consumed,
    Grouped,
    Joined,
    JoinWindows,
    Materialized,
    Produced,
    SessionWindows,
    SlidingWindows,
    Stores,
    StreamsBuilder,
    Suppressed,
    TimeWindows,
    TopologyTestDriver,
    ValueAndTimestamp,
    Windowed,
    serdes,
)

HOUR_MS = 3_600_000


def build(builder: StreamsBuilder) -> None:
    flights = builder.stream("flights", Consumed(serdes.string, serdes.json))
    planes = builder.table("planes", Consumed(serdes.string, serdes.json), Materialized("planes"))
    (flights.group_by(lambda tail, flight: flight["carrier"], Grouped("by-carrier", serdes.string, serdes.json))
            .count(Materialized("departures-by-carrier", serdes.string, serdes.int64)))  # fmt: skip
    (flights.group_by_key()
            .windowed_by(TimeWindows.of(hours=1, grace_minutes=10))
            .aggregate(list, lambda tail, flight, seen: seen + [flight["dest"]],
                       Materialized("hourly-routes", serdes.string, serdes.json)))  # fmt: skip
    flights.join(planes, lambda flight, plane: {**flight, "seats": plane["seats"]}, Joined("with-plane")).to("flights-with-plane", Produced(serdes.string, serdes.json))  # fmt: skip


def test_the_designs_example_runs():
    assert all((JoinWindows, SessionWindows, SlidingWindows, Stores, Suppressed))
    with TopologyTestDriver(build) as driver:
        driver.input_topic("planes").pipe("N1", {"seats": 180}, 0)
        flights = driver.input_topic("flights")
        flights.pipe("N1", {"carrier": "UA", "dest": "ORD"}, 10)
        flights.pipe("N2", {"carrier": "UA", "dest": "BOS"}, 20)
        flights.pipe("N1", {"carrier": "DL", "dest": "ATL"}, HOUR_MS + 5)
        assert list(driver.store("departures-by-carrier").all()) == [
            ("DL", ValueAndTimestamp(1, HOUR_MS + 5)),
            ("UA", ValueAndTimestamp(2, 20)),
        ]
        routes = {key: kept.value for key, kept in driver.store("hourly-routes").all()}
        assert routes == {
            Windowed("N1", 0, HOUR_MS): ["ORD"],
            Windowed("N2", 0, HOUR_MS): ["BOS"],
            Windowed("N1", HOUR_MS, 2 * HOUR_MS): ["ATL"],
        }
        joined = driver.output_topic("flights-with-plane").read_records()
        assert [(record.key, record.value["dest"], record.value["seats"]) for record in joined] == [
            ("N1", "ORD", 180),
            ("N1", "ATL", 180),
        ]
        assert driver.internal_topics() == [
            "test-by-carrier-repartition",
            "test-departures-by-carrier-changelog",
            "test-hourly-routes-changelog",
            "test-planes-changelog",
        ]
