"""A changed topology over kept state: what would lose or misread it is refused at start, with what to do."""

import pytest

from engine import Consumed, Materialized, serdes
from engine.errors import TopologyError
from tests.runtime import programs
from tests.runtime.harness import config, produce, run_to_the_end

pytestmark = pytest.mark.kafka


def counts_named(application: str, store: str, value_serde=serdes.string):
    def build(builder):
        (
            builder.stream(programs.input_topic(application), Consumed(serdes.string, value_serde))
            .group_by_key()
            .reduce(lambda _, value: value, Materialized(store, serdes.string, value_serde))
        )

    return build


@pytest.fixture
def application(kafka):
    name = kafka.unique("changed")
    kafka.create(programs.input_topic(name), partitions=2)
    produce(kafka, programs.input_topic(name), [(b"k", b"7", 1_000)])
    return name


def test_a_renamed_store_is_refused_and_the_old_name_still_starts(kafka, application, tmp_path):
    settings = config(kafka, application, tmp_path / "state")
    run_to_the_end(counts_named(application, "latest"), settings)
    with pytest.raises(TopologyError, match=r"store latest is gone and newest is new.*Call it latest again"):
        run_to_the_end(counts_named(application, "newest"), settings)
    run_to_the_end(counts_named(application, "latest"), settings)


def test_another_serde_under_the_same_name_is_refused(kafka, application, tmp_path):
    settings = config(kafka, application, tmp_path / "state")
    run_to_the_end(counts_named(application, "latest"), settings)
    with pytest.raises(TopologyError, match=r"store latest had .* string and now has json"):
        run_to_the_end(counts_named(application, "latest", serdes.json), settings)
