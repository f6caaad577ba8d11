"""How large stores were: what is sampled, what is not invented, and what age leaves."""

from datetime import timedelta

import pytest
from django.utils import timezone

from console.models import Application, StoreSample
from console.observe import sizes
from tests.console import reports

pytestmark = pytest.mark.django_db


def test_a_store_is_sampled_as_the_sum_of_its_serving_copies(shop):
    shop.settle()

    sample = StoreSample.objects.filter(store="counts").latest("at")
    assert (sample.application_id, sample.bytes, sample.keys) == ("shop", 2_000, 32)


@pytest.mark.parametrize(
    "changed",
    [{"bytes": None}, {"phase": "applying"}, {"role": "standby"}],
    ids=["its size is unknown", "it restores", "nobody serves it"],
)
def test_a_store_of_which_a_partition_is_not_known_is_not_sampled(changed):
    records = [reports.store(task_id="0_0"), reports.store(task_id="0_1", on="engine-2", **changed)]

    assert sizes.rows_of("shop", records, set(), 1) == []


def test_the_last_word_of_an_unreachable_instance_is_not_a_sample():
    records = [reports.store(task_id="0_0"), reports.store(task_id="0_1", on="engine-2")]

    assert sizes.rows_of("shop", records, {"engine-2"}, 1) == []
    assert [row.bytes for row in sizes.rows_of("shop", records, set(), 1)] == [2_000]


def test_reading_leaves_out_times_and_keeps_the_newest():
    Application.objects.create(id="shop")
    sizes.store([sizes.Row("shop", "counts", 1_000 * n, None, n) for n in range(1, 11)])

    found = sizes.read("shop", "counts", 0, 10_000, 4)
    assert found == {"at": [1_000, 4_000, 7_000, 10_000], "bytes": [1, 4, 7, 10], "keys": [None] * 4}


def test_thinning_keeps_one_in_ten_minutes_and_drops_what_is_too_old():
    Application.objects.create(id="shop")
    now = timezone.now()
    start = int(now.timestamp()) // 600 * 600
    ages = [0, 60, *(5 * 86_400 + minute * 60 for minute in range(10)), 100 * 86_400]
    sizes.store([sizes.Row("shop", "counts", (start - age) * 1_000, 1, 1) for age in ages])

    sizes.thin(now + timedelta(seconds=1))
    left = [start - int(at.timestamp()) for at in StoreSample.objects.order_by("-at").values_list("at", flat=True)]
    assert left[:2] == [0, 60]
    assert len(left) == 4
