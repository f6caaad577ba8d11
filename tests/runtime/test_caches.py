"""Hit ratios of the last minute, from totals: what is not known stays unknown, and what is long past no longer counts."""

from engine.hosting.caches import Caches, HitRatio


def test_a_ratio_is_of_the_last_minute_and_not_of_all_time():
    ratio = HitRatio()
    assert ratio.of(0, 0, 0.0) is None
    assert ratio.of(90, 10, 30.0) == 0.9
    assert ratio.of(90, 110, 90.0) == 0.0
    assert ratio.of(90, 110, 160.0) is None


def test_both_caches_are_told_by_name():
    found = Caches().look()
    assert [each.name for each in found] == ["block-cache", "record-cache"]
    assert all(each.hits_total >= 0 and each.misses_total >= 0 and each.hit_ratio is None for each in found)
