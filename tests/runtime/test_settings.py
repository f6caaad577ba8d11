"""Settings whose effect shows in a running engine only."""

from collections import Counter

import pytest
from confluent_kafka import Consumer, TopicPartition

from engine.changelog.topics import Topics
from engine.runtime import housekeeping
from tests.runtime import programs
from tests.runtime.harness import config, create, eventually, produce, run_to_the_end, running

pytestmark = pytest.mark.kafka
OFFSETS = "__consumer_offsets"


def tasks_of(engine):
    return {t.id for t in engine.tasks.running()} if hasattr(engine, "tasks") else set()


class Commits:
    """How often a group has committed for each partition of a topic: each commit is a record of the broker's own topic."""

    def __init__(self, kafka, group, topic):
        self._topic, self._group, self._counts = topic.encode(), group.encode(), Counter()
        self._consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": kafka.unique("commits")})
        partitions = self._consumer.list_topics(OFFSETS, 10).topics[OFFSETS].partitions
        self._consumer.assign([TopicPartition(OFFSETS, partition, 0) for partition in partitions])

    def of(self, partition):
        for message in self._consumer.consume(1_000, 0.2):
            key = message.key()
            if message.error() is None and self._group in key and self._topic in key:
                self._counts[int.from_bytes(key[-4:], "big")] += 1
        return self._counts[partition]


def test_offsets_are_committed_again_though_nothing_changes(kafka, tmp_path):
    """Of two partitions one never had a record: the broker would forget both."""
    name = kafka.unique("recommit")
    create(kafka, programs.input_topic(name), partitions=2)
    produce(kafka, programs.input_topic(name), [(b"k", b"v", 1_000, 0)])
    settings = config(kafka, name, tmp_path / "state", recommit_interval_ms=1_000)
    with running(programs.quiet_counts(name), settings) as engine:
        eventually(lambda: len(tasks_of(engine)) == 2, "both tasks")
        commits = Commits(kafka, name, programs.input_topic(name))
        for partition in (0, 1):
            eventually(lambda partition=partition: commits.of(partition) > 3, f"commits of partition {partition}")
        assert engine.loop.processed_total == 1


def test_what_is_another_instances_by_now_is_removed_after_a_while(kafka, tmp_path, monkeypatch):
    monkeypatch.setattr(housekeeping, "TIDY_SECONDS", 0.1)
    name = kafka.unique("cleanup")
    create(kafka, programs.input_topic(name), partitions=2)
    produce(kafka, programs.input_topic(name), [(f"k{i}".encode(), b"v") for i in range(100)])
    build = programs.quiet_counts(name)
    soon, never = (
        config(kafka, name, tmp_path / each, instance_id=each, state_cleanup_delay_ms=delay)
        for each, delay in (("soon", 1_000), ("never", 3_600_000))
    )

    def held(settings):
        return {path.name for path in (settings.state_dir / name).glob("0_*")}

    with running(build, soon) as first:
        eventually(lambda: len(tasks_of(first)) == 2, "both tasks")
        with running(build, never) as second:
            eventually(lambda: len(tasks_of(first)) == len(tasks_of(second)) == 1, "a task each")
            eventually(lambda: held(soon) == tasks_of(first), "only its own task's state is left")
        eventually(lambda: len(tasks_of(first)) == 2, "both tasks again")
    with running(build, never) as second:
        eventually(lambda: len(tasks_of(second)) == 2, "both tasks")
        with running(build, soon) as first:
            eventually(lambda: len(tasks_of(first)) == len(tasks_of(second)) == 1, "a task each")
            tidied = []
            remove = second.directory.remove_unowned
            monkeypatch.setattr(second.directory, "remove_unowned", lambda *a: tidied.append(remove(*a)) or tidied[-1])
            eventually(lambda: len(tidied) > 20, "it has tidied up often")
            assert held(never) == {"0_0", "0_1"}


@pytest.mark.parametrize("partitions_max", [1, 3])
def test_so_many_partitions_restore_at_once(kafka, tmp_path, partitions_max):
    name = kafka.unique("at-once")
    create(kafka, programs.input_topic(name), partitions=4)
    # More than is restored before all others because it is nearly there.
    produce(kafka, programs.input_topic(name), [(f"k{i}".encode(), b"v") for i in range(8_000)])
    build = programs.quiet_counts(name)
    run_to_the_end(build, config(kafka, name, tmp_path / "first", instance_id="one"))
    slow = config(
        kafka,
        name,
        tmp_path / "second",
        instance_id="one",
        restore_partitions_max=partitions_max,
        restore_bytes_per_second_max=40_000,
    )
    seen = set()
    with running(build, slow) as engine:

        def restored():
            take_overs = list(engine.tasks.take_overs.values()) if hasattr(engine, "tasks") else []
            phases = Counter(r.phase for wanted in take_overs for r in wanted.restores)
            seen.add(phases["fetching"] + phases["applying"])
            return len(tasks_of(engine)) == 4

        eventually(restored, "all four")
    assert max(seen) == partitions_max


def test_settings_of_topics_are_those_of_changelogs_and_repartitions(kafka, tmp_path):
    name = kafka.unique("topics")
    for topic in (programs.input_topic(name), programs.output_topic(name)):
        create(kafka, topic)
    given = {"segment.ms": "123456789", "min.compaction.lag.ms": "60000"}
    with running(programs.regrouped(name), config(kafka, name, tmp_path / "state", topic_settings=given)) as engine:
        eventually(lambda: len(tasks_of(engine)) == 2, "both tasks")
        made = (f"{name}-by-value-repartition", f"{name}-by-value-counts-changelog")
        settings = Topics({"bootstrap.servers": kafka.bootstrap_servers}).settings(made)
        assert [{setting: settings[topic].get(setting) for setting in given} for topic in made] == [given, given]
        assert [settings[topic]["cleanup.policy"] for topic in made] == ["delete", "compact"]
