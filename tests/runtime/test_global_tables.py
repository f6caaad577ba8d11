"""Global tables in a running engine."""

import pytest
from confluent_kafka import TopicPartition

from engine import Consumed, Materialized, Produced, serdes
from engine.errors import Fatal
from engine.instance import Engine
from tests.runtime.harness import PATIENCE_SECONDS, config, create, eventually, produce, read

pytestmark = pytest.mark.kafka


def test_a_global_table_whose_records_are_gone_stops_the_engine_instead_of_standing_still(kafka, tmp_path):
    name = kafka.unique("global")
    for topic in ("in", "table", "out"):
        create(kafka, f"{name}.{topic}")
    produce(kafka, f"{name}.table", [(b"k", b"row")])
    produce(kafka, f"{name}.in", [(b"k", b"value")])

    def build(builder):
        text = Consumed(serdes.string, serdes.string)
        rows = builder.global_table(f"{name}.table", text, Materialized("rows", serdes.string, serdes.string))
        builder.stream(f"{name}.in", text).join(
            rows,
            lambda key, _: key,
            lambda value, row: f"{value}+{row}",
        ).to(f"{name}.out", Produced(serdes.string, serdes.string))

    engine = Engine(build, config(kafka, name, tmp_path / "state"))
    engine.start()
    try:
        eventually(lambda: [v for _, v, *_ in read(kafka, f"{name}.out")] == [b"value+row"], "the joined record")
        # As after a retention that was faster than the engine: the next offset is none of the topic's.
        engine.global_tables._client.seek(TopicPartition(f"{name}.table", 0, 10**6))
        with pytest.raises(Fatal, match="global tables are rebuilt at each start"):
            engine.wait(PATIENCE_SECONDS)
    finally:
        engine.request_stop()
