"""What the handlers keep of the records that may still become dead letters."""

import pytest

from tests.runtime import programs
from tests.runtime.harness import committed_offsets, config, create, eventually, produce, running

pytestmark = pytest.mark.kafka
RECORDS = 5_000
POLLED = 250


def test_records_that_are_committed_are_no_longer_kept_for_dead_letters(kafka, tmp_path):
    name = kafka.unique("kept")
    create(kafka, programs.input_topic(name))
    create(kafka, programs.output_topic(name))
    dead = create(kafka, kafka.unique("dead"))
    settings = config(
        *(kafka, name, tmp_path / "state"),
        commit_interval_ms=50,
        poll_records=POLLED,
        production_handler="dead-letter",
        dead_letter_topic=dead,
    )

    def committed(count):
        eventually(lambda: committed_offsets(kafka, name, programs.input_topic(name), 1) == {0: count}, "its commit")

    with running(programs.counts(name), settings) as engine:
        produce(kafka, programs.input_topic(name), [(b"k", b"v")] * RECORDS)
        committed(RECORDS)
        produce(kafka, programs.input_topic(name), [(b"k", b"v")])
        committed(RECORDS + 1)
        kept = [raw for batches in engine.handlers._raw.values() for raw in batches]
        assert 0 < sum(len(raw.offsets) for raw in kept) <= POLLED + 1
