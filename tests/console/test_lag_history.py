from datetime import UTC, datetime, timedelta

import pytest

from console.lag import history
from console.models import Application, LagSample

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def shop(db):  # noqa: ARG001 - fixtures ask for fixtures by argument
    Application.objects.create(id="shop")


def sampled(ages, *, partitions=2, name="orders"):
    LagSample.objects.bulk_create(
        LagSample(application_id="shop", kind="input", name=name, partition=partition, at=NOW - age, position=0, end=10, lag=partition, lag_ms=5)
        for age in ages
        for partition in range(partitions)
    )  # fmt: skip


def every(seconds, *, of, until=timedelta()):
    count = int((of - until).total_seconds() // seconds)
    return [until + timedelta(seconds=seconds * step) for step in range(1, count + 1)]


def times(since, until):
    found = LagSample.objects.filter(at__gt=NOW - until, at__lte=NOW - since)
    return sorted(set(found.values_list("at", flat=True)))


def test_samples_lose_detail_with_age_and_then_go():
    sampled(every(5, of=timedelta(minutes=2)))
    sampled(every(10, of=timedelta(hours=4), until=timedelta(hours=3, minutes=30)))
    sampled(every(60, of=timedelta(days=3), until=timedelta(days=2, hours=23)))
    sampled([timedelta(days=31)])

    assert history.thin(NOW) > 0

    assert len(times(timedelta(), timedelta(minutes=3))) == 24, "the newest keep all detail"
    assert len(times(timedelta(hours=3, minutes=30), timedelta(hours=4, seconds=1))) == 30, (
        "one a minute after three hours"
    )
    assert len(times(timedelta(days=2, hours=23), timedelta(days=3, minutes=1))) <= 8, (
        "one in ten minutes after two days"
    )
    assert times(timedelta(days=30), timedelta(days=40)) == []
    assert history.thin(NOW) == 0, "twice is once"


def test_whole_samplings_go_so_that_the_lines_of_a_chart_keep_one_axis():
    sampled(every(10, of=timedelta(hours=4), until=timedelta(hours=3, minutes=50)), partitions=3)

    history.thin(NOW)

    per_time = {}
    for at, partition in LagSample.objects.values_list("at", "partition"):
        per_time.setdefault(at, []).append(partition)
    assert all(sorted(found) == [0, 1, 2] for found in per_time.values())


def test_a_chart_takes_a_bounded_number_of_times_and_the_newest_is_among_them():
    sampled(every(5, of=timedelta(minutes=30)))
    until = int(NOW.timestamp() * 1000)

    found = history.read("shop", "input", "orders", until - 3_600_000, until, 50)

    assert 40 < len(found["at"]) <= 50
    assert found["at"][-1] == until - 5_000
    assert [each["partition"] for each in found["series"]] == [0, 1]
    assert len(found["series"][1]["lag"]) == len(found["at"])


def test_a_chart_of_some_partitions_reads_only_those_and_a_gap_stays_a_gap():
    sampled([timedelta(seconds=30), timedelta(seconds=10)], partitions=5)
    LagSample.objects.filter(partition=3, at=NOW - timedelta(seconds=10)).delete()
    until = int(NOW.timestamp() * 1000)

    found = history.read("shop", "input", "orders", until - 60_000, until, 300, [3, 4])

    assert {each["partition"]: each["lag"] for each in found["series"]} == {3: [3, None], 4: [4, 4]}
