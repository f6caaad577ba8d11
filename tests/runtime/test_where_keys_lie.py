"""Who has a key: StreamsMetadataStateTest, asked of two running instances."""

import httpx
import pytest

from engine import Consumed, Materialized, Repartitioned, serdes
from engine.instance import Engine
from engine.partitioning import partition_for
from tests.runtime.harness import PATIENCE_SECONDS, config, create, eventually, produce, running

pytestmark = pytest.mark.kafka
TOKEN = "a-token-of-the-tests"  # noqa: S105 - opens nothing
TEXT = Consumed(serdes.string, serdes.string)
KEYS = [f"k{i}" for i in range(8)]


def build_of(name):
    def build(builder):
        # Two topics of unequal width: the wider one says how many partitions the store has.
        narrow, wide = builder.stream(f"{name}.narrow", TEXT), builder.stream(f"{name}.wide", TEXT)
        narrow.merge(wide).group_by_key().count(Materialized("counts", serdes.string, serdes.int64))
        builder.global_table(f"{name}.everywhere", TEXT, Materialized("everywhere", serdes.string, serdes.string))
        placed = Repartitioned("placed", serdes.string, serdes.string, 2, lambda _topic, _key, _value, _count: 1)
        wide.repartition(placed).group_by_key().count(Materialized("placed-counts", serdes.string, serdes.int64))

    return build


def ask(engine, path, **parameters):
    headers = {"authorization": f"Bearer {TOKEN}"}
    return httpx.get(f"{engine.address}/v1/stores/{path}", params=parameters, headers=headers, timeout=20).json()


def test_a_key_has_an_owner_standbys_and_a_partition(kafka, tmp_path):
    name = kafka.unique("where")
    for topic, partitions in (("narrow", 2), ("wide", 3), ("everywhere", 1)):
        create(kafka, f"{name}.{topic}", partitions=partitions)
    (tmp_path / "token").write_text(TOKEN)
    shared = {"listen": "127.0.0.1:0", "token_file": tmp_path / "token", "num_standby_replicas": 1}
    one, two = (config(kafka, name, tmp_path / each, instance_id=each, **shared) for each in ("one", "two"))
    produce(kafka, f"{name}.wide", [(key.encode(), b"v") for key in KEYS])
    produce(kafka, f"{name}.everywhere", [(b"k", b"row")])
    with running(build_of(name), one) as first, running(build_of(name), two) as second:
        pair = {"one": first, "two": second}

        def runners():
            return {t.id: each for each, engine in pair.items() for t in engine.tasks.running()}

        def known():
            """Whether both have tasks, and each tells of every partition who runs it, and that the other stands by."""
            runs = runners()
            if len(runs) < 5 or len(set(runs.values())) < len(pair):
                return False
            told = [(p, ask(engine, "counts/owner", partition=p)) for engine in pair.values() for p in range(3)]
            return all(o.get("active") and o["active"]["instance"] == runs[f"0_{p}"] and o["standbys"] for p, o in told)

        eventually(lambda: all(e.phase == "running" for e in pair.values()), "their services")
        eventually(known, "owner and standby of each partition, at both")
        addresses = {each: engine.address for each, engine in pair.items()}
        for engine in pair.values():
            owners = {key: ask(engine, "counts/owner", key=key) for key in KEYS}
            assert {key: o["partition"] for key, o in owners.items()} == {k: partition_for(k.encode(), 3) for k in KEYS}
            for key, owner in owners.items():
                active, (standby,) = owner["active"], owner["standbys"]
                assert {each["instance"]: each["address"] for each in (active, standby)} == addresses
                assert active["instance"] == runners()[owner["task"]]
                eventually(lambda key=key: value(ask(first, "counts/entries", key=key)) == 1, "its count")

        for each, engine in pair.items():
            # A global store is here, whoever is asked.
            owner = ask(engine, "everywhere/owner", key="anything")
            assert (owner["active"]["instance"], owner["partition"], owner["standbys"]) == (each, 0, [])
            assert ask(engine, "nowhere/owner", key="k")["error"]["code"] == "not-found"

            # A partitioner of the topology's own put all keys into partition 1: nobody guesses.
            for route in ("owner", "entries"):
                refused = ask(engine, f"placed-counts/{route}", key="k0")["error"]
                assert (refused["code"], refused["retryable"]) == ("bad-request", False)
                assert f"topic {name}-placed-repartition is written with a partitioner of its own" in refused["message"]
            eventually(lambda e=engine: value(ask(e, "placed-counts/entries", key="k0", partition=1)) == 1, "named")
            found = ask(engine, "placed-counts/entries", **{"from": "k0", "to": "k0"})
            assert [(entry["key"], entry["partition"]) for entry in found["entries"]] == [("k0", 1)]


def value(answer):
    (entry,) = answer.get("entries") or [{}]
    return entry.get("value")


def test_while_nothing_is_known_the_answer_is_to_ask_again(kafka, tmp_path):
    """NOT_AVAILABLE: the only instance has not joined its group yet."""
    name = kafka.unique("nobody")
    for topic, partitions in (("narrow", 2), ("wide", 3), ("everywhere", 1)):
        create(kafka, f"{name}.{topic}", partitions=partitions)
    (tmp_path / "token").write_text(TOKEN)
    settings = config(kafka, name, tmp_path / "state", listen="127.0.0.1:0", token_file=tmp_path / "token")
    engine = Engine(build_of(name), settings)
    engine._join = lambda: None
    engine.start()
    try:
        eventually(lambda: engine.phase == "running", "its service")
        assert ask(engine, "counts/owner", key="k0")["active"] is None
        refused = ask(engine, "counts/entries", key="k0")["error"]
        assert (refused["code"], refused["retryable"]) == ("no-owner", True)
    finally:
        engine.request_stop()
        engine.wait(PATIENCE_SECONDS)
