"""One record in a hundred that nobody can read, of a hundred thousand: each goes to the dead letters, the rest in order."""

import pytest

from engine import Consumed, Produced, serdes
from tests.runtime import programs
from tests.runtime.harness import config, create, produce, read, run_to_the_end

pytestmark = pytest.mark.kafka
RECORDS = 100_000
BAD = range(7, RECORDS, 100)


def test_a_thousand_bad_records_of_a_hundred_thousand(kafka, tmp_path):
    name = kafka.unique("poisoned")
    dead = f"{name}.dead"
    for topic in (programs.input_topic(name), programs.output_topic(name), dead):
        create(kafka, topic)

    def build(builder):
        builder.stream(programs.input_topic(name), Consumed(serdes.string, serdes.int64)).map_values(
            lambda value: value + 1
        ).to(programs.output_topic(name), Produced(serdes.string, serdes.int64))

    bad = set(BAD)
    rows = [(b"k", b"odd" if i in bad else i.to_bytes(8, "big"), 1_000 + i) for i in range(RECORDS)]
    produce(kafka, programs.input_topic(name), rows)
    settings = config(kafka, name, tmp_path / "state", deserialization_handler="dead-letter", dead_letter_topic=dead)
    run_to_the_end(build, settings)
    assert [(value, at) for _, value, at, _ in read(kafka, dead)] == [(b"odd", 1_000 + i) for i in BAD]
    found = [int.from_bytes(value, "big") for _, value, *_ in read(kafka, programs.output_topic(name))]
    assert found == [i + 1 for i in range(RECORDS) if i not in bad]
