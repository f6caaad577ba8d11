"""Settings of internal topics, as Kafka Streams 4.3 makes them."""

from engine.changelog.settings import changelog_settings, repartition_settings
from engine.topology.stores import StoreSpec


def test_a_key_value_changelog_is_compacted():
    assert changelog_settings(StoreSpec("s")) == {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"}


def test_a_window_changelog_expires_a_day_after_its_retention():
    spec = StoreSpec("s", kind="window", retention_ms=3_600_000, window_ms=60_000)
    found = changelog_settings(spec)
    assert (found["cleanup.policy"], found["retention.ms"]) == ("compact,delete", "90000000")


def test_a_versioned_changelog_is_not_compacted_within_its_history():
    found = changelog_settings(StoreSpec("s", kind="versioned", history_ms=1_000))
    assert (found["cleanup.policy"], found["min.compaction.lag.ms"]) == ("compact", "86401000")


def test_a_store_s_own_settings_win_over_common_ones_and_these_over_ours():
    spec = StoreSpec("s", kind="window", retention_ms=1_000, topic_config={"retention.ms": "5", "segment.bytes": "6"})
    found = changelog_settings(spec, {"cleanup.policy": "compact", "segment.bytes": "7"})
    assert (found["cleanup.policy"], found["retention.ms"], found["segment.bytes"]) == ("compact", "5", "6")


def test_a_repartition_topic_keeps_everything_until_it_is_purged():
    assert repartition_settings() == {
        "cleanup.policy": "delete",
        "message.timestamp.type": "CreateTime",
        "retention.ms": "-1",
        "segment.bytes": "52428800",
    }
