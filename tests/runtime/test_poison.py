"""Records that cannot be read, or that the user's code cannot take: the three policies."""

import pytest

from engine import Consumed, Materialized, Produced, serdes
from engine.errors import Fatal
from tests.runtime import programs
from tests.runtime.harness import config, create, produce, read, run_to_the_end

pytestmark = pytest.mark.kafka


@pytest.fixture
def application(kafka):
    name = kafka.unique("poison")
    create(kafka, programs.input_topic(name), partitions=1)
    create(kafka, programs.output_topic(name), partitions=1)
    create(kafka, f"{name}.dead", partitions=1)
    return name


def doubled(application):
    def build(builder):
        builder.stream(programs.input_topic(application), Consumed(serdes.string, serdes.json)).map_values(
            lambda value: {"n": 10 // value["n"]}
        ).to(programs.output_topic(application), Produced(serdes.string, serdes.json))

    return build


def fill(kafka, application, bad, count=1_000):
    rows = [(b"k", bad if i % 100 == 7 else b'{"n":1}', 1_000 + i) for i in range(count)]
    produce(kafka, programs.input_topic(application), rows)


def test_fail_stops_with_the_place_and_the_remedy(kafka, application, tmp_path):
    fill(kafka, application, b"{nonsense")
    with pytest.raises(Fatal, match=rf"{application}.in-0@7 cannot be processed.*deserialization_handler"):
        run_to_the_end(doubled(application), config(kafka, application, tmp_path / "state"))
    assert read(kafka, programs.output_topic(application)) == []


@pytest.mark.parametrize(("bad", "handler"), [(b"{nonsense", "deserialization"), (b'{"n":0}', "processing")])
def test_skip_counts_and_keeps_the_rest_in_order(kafka, application, tmp_path, bad, handler):
    fill(kafka, application, bad)
    settings = config(kafka, application, tmp_path / "state", **{f"{handler}_handler": "skip"})
    engine = run_to_the_end(doubled(application), settings)
    assert engine.handlers.skipped_total == 10
    times = [at for *_, at, _ in read(kafka, programs.output_topic(application))]
    assert times == [1_000 + i for i in range(1_000) if i % 100 != 7]


@pytest.mark.parametrize(("bad", "handler"), [(b"{nonsense", "deserialization"), (b'{"n":0}', "processing")])
def test_dead_letters_go_out_exactly_once_with_their_cause(kafka, application, tmp_path, bad, handler):
    fill(kafka, application, bad)
    settings = config(
        kafka,
        application,
        tmp_path / "state",
        dead_letter_topic=f"{application}.dead",
        **{f"{handler}_handler": "dead-letter"},
    )
    engine = run_to_the_end(doubled(application), settings)
    assert engine.handlers.dead_lettered_total == 10
    dead = read(kafka, f"{application}.dead")
    assert [(key, value, at) for key, value, at, _ in dead] == [(b"k", bad, 1_007 + 100 * i) for i in range(10)]
    assert len(read(kafka, programs.output_topic(application))) == 990


@pytest.mark.parametrize("faulty", ["extractor", "partitioner", "store"])
def test_whatever_user_code_or_serde_it_was_the_input_record_is_the_dead_letter(kafka, application, tmp_path, faulty):
    fill(kafka, application, b'{"n":"bad"}')

    def checked(name, value, result):
        if name == faulty and value["n"] == "bad":
            raise ValueError(value)
        return result

    def build(builder):
        read_as = Consumed(
            serdes.string, serdes.json, lambda record, _: checked("extractor", record.value, record.timestamp)
        )
        stream = builder.stream(programs.input_topic(application), read_as)
        if faulty == "store":
            numbers = Materialized("numbers", serdes.string, serdes.int64)
            stream = stream.map_values(lambda value: value["n"]).to_table(numbers).to_stream()
            stream = stream.map_values(lambda number: {"n": number})
        written = Produced(serdes.string, serdes.json, lambda _, __, value, ___: checked("partitioner", value, 0))
        stream.to(programs.output_topic(application), written)

    settings = config(
        kafka,
        application,
        tmp_path / "state",
        caching=False,
        dead_letter_topic=f"{application}.dead",
        deserialization_handler="dead-letter",
        processing_handler="dead-letter",
    )
    engine = run_to_the_end(build, settings)
    assert engine.handlers.dead_lettered_total == 10
    dead = read(kafka, f"{application}.dead")
    assert [row[:3] for row in dead] == [(b"k", b'{"n":"bad"}', 1_007 + 100 * i) for i in range(10)]
    times = [at for *_, at, _ in read(kafka, programs.output_topic(application))]
    assert times == [1_000 + i for i in range(1_000) if i % 100 != 7]
