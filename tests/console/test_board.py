"""The board takes over what changed and nothing else: what did not change is the same object, so nothing is made of it again."""

import pytest

from console.observe import snapshot, store_shapes
from console.observe.choice import NOTHING, Choice
from tests.console import reports

pytestmark = pytest.mark.django_db


@pytest.fixture
def state(shop, fresh_board):  # noqa: ARG001 - fixtures ask for fixtures by argument
    return lambda: fresh_board.read().applications["shop"]


def test_a_report_replaces_its_own_part_only(shop, state):
    before = state()
    shop.report(reports.task("0_0", "engine-1", sequence=2, position=101))
    after = state()

    assert after is not before
    assert after.tasks["0_0"][0].inputs[0].position == 101
    assert before.tasks["0_0"][0].inputs[0].position == 100
    assert after.tasks["0_1"] is before.tasks["0_1"]
    assert after.stores is before.stores
    assert after.instances is before.instances
    assert after.topology is before.topology
    assert after.owners is before.owners


def test_what_is_made_of_a_part_stays_until_the_part_changes(shop, state):
    first = store_shapes.summary(state(), "counts")
    shop.report(reports.instance("engine-1", sequence=2, tasks=["0_0"]))
    shop.settle()
    assert store_shapes.summary(state(), "counts") is first

    shop.report(reports.store("counts", "0_0", "engine-1", sequence=2, keys_estimate=36))
    changed = store_shapes.summary(state(), "counts")
    assert changed["keys_estimate"] == 36 + 16
    assert first["keys_estimate"] == 16 + 16


def test_tombstones_take_copies_away_and_the_partition_stays(shop, state):
    shop.topic.tombstone(reports.store("counts", "0_1", "engine-2"), reports.task("0_1", "engine-2"))
    shop.settle()

    assert list(state().stores["counts"]) == [0]
    assert "0_1" not in state().tasks
    assert [cell[3] for cell in snapshot.store("shop", "counts")["strip"]["cells"]] == ["running", "moving"]
    assert [row[0] for row in snapshot.application("shop")["tasks"]["rows"]] == ["0_0", "0_1"]


def test_a_standby_that_takes_over_is_one_copy_and_not_two(shop, state):
    shop.report(reports.store("counts", "0_0", "engine-2", role="standby"))
    assert sorted(copy.role for copy in state().stores["counts"][0]) == ["active", "standby"]
    shop.report(reports.store("counts", "0_0", "engine-2", sequence=2, role="active", keys_estimate=7))
    shop.topic.tombstone(reports.store("counts", "0_0", "engine-1"))
    shop.settle()
    assert [(copy.instance, copy.role) for copy in state().stores["counts"][0]] == [("engine-2", "active")]


def test_a_reader_that_took_every_step_sees_what_a_new_one_reads_at_once(shop, state, redis_client):
    from console.observe.board import Reader

    for sequence in range(2, 6):
        shop.report(
            reports.task("0_0", "engine-1", sequence=sequence, position=100 + sequence),
            reports.store("counts", "0_1", "engine-2", sequence=sequence, position=50 + sequence, end=60),
            reports.store("counts", "0_0", f"engine-{sequence}", role="standby"),
        )
        state()
    shop.topic.tombstone(reports.store("counts", "0_0", "engine-3"))
    shop.settle()

    mine, new = state(), Reader(redis_client).read(fresh=True).applications["shop"]
    for part in ("instances", "tasks", "topology", "unreachable", "owners", "lag"):
        assert getattr(mine, part) == getattr(new, part), part
    by_instance = lambda copies: sorted(copies, key=lambda copy: copy.instance)  # noqa: E731
    for partition, copies in new.stores["counts"].items():
        assert by_instance(mine.stores["counts"][partition]) == by_instance(copies)


def test_a_reader_forgets_what_went_while_redis_was_written_anew(shop, state):
    assert set(state().instances) == {"engine-1", "engine-2"}
    gone = reports.instance("engine-2")
    shop.observer.latest.apply(gone.key.encode(), None)
    shop.observer.publisher.invalidate()
    shop.observer.publisher.flush(shop.observer.latest, {}, at_ms=reports.now_ms())

    assert set(state().instances) == {"engine-1"}


def test_a_reader_that_slept_while_changes_were_dropped_reads_everything(shop, state, monkeypatch):
    from console.observe import keys

    monkeypatch.setattr(keys, "CHANGES_KEPT", 2)
    assert set(state().instances) == {"engine-1", "engine-2"}
    shop.topic.tombstone(reports.instance("engine-2"))
    shop.settle()
    shop.report(reports.task("0_0", "engine-1", sequence=2), reports.store("counts", "0_0", "engine-1", sequence=2))

    assert set(state().instances) == {"engine-1"}


WIDE = 260


@pytest.fixture
def wide(observed):
    observed.report(
        reports.topology(partitions=WIDE),
        reports.instance("engine-1", tasks=[f"0_{number}" for number in range(WIDE)]),
        *(reports.task(f"0_{number}", lag=number % 3 * 10) for number in range(WIDE - 1)),
        *(reports.store("counts", f"0_{number}", bytes=number) for number in range(WIDE - 1)),
    )
    return observed


@pytest.mark.usefixtures("wide")
def test_a_choice_makes_the_chosen_rows_and_says_of_how_many():
    found = snapshot.store("shop", "counts", Choice(page=2, size=100))
    assert [row[0] for row in found["positions"]["rows"]] == list(range(200, WIDE))
    assert found["chosen"] == {"total": WIDE, "matching": WIDE, "page": 2, "pages": 3}
    assert found["states"] == {"running": WIDE - 1, "moving": 1}
    assert "cells" not in found["strip"]
    # Nobody has reported the last one: it has its row and its cell all the same.
    assert found["positions"]["rows"][-1][4] == "moving"
    assert found["strip"]["kinds"][-1] == [None, None, "moving", 0, 1]

    largest = snapshot.store("shop", "counts", Choice(order="size", size=2))
    assert [row[0] for row in largest["positions"]["rows"]] == [WIDE - 2, WIDE - 3]
    assert snapshot.store("shop", "counts", NOTHING)["positions"]["rows"] == []
    assert len(snapshot.store("shop", "counts")["positions"]["rows"]) == WIDE

    moving = snapshot.application("shop", Choice(state="moving"))
    assert [row[0] for row in moving["tasks"]["rows"]] == [f"0_{WIDE - 1}"]
    assert moving["matrix"]["rows"] == []
    assert moving["task_states"] == {"running": WIDE - 1, "moving": 1}


@pytest.mark.usefixtures("wide")
def test_the_lag_is_chosen_worst_first_and_charts_draw_those_furthest_behind():
    found = snapshot.lag("shop", Choice(size=5))
    assert [row["lag"] for row in snapshot.rows(found["inputs"])] == [20] * 5
    assert found["chosen"]["inputs"]["pages"] == 52
    inputs = next(each for each in found["furthest"] if each["kind"] == "input")
    assert inputs == {
        "kind": "input",
        "name": "orders",
        "partitions": list(range(2, 38, 3)),
        "total": WIDE - 1,
        "is_behind": True,
    }
    assert len(snapshot.lag("shop")["inputs"]["rows"]) == WIDE - 1


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("topic", ["overview", "app:shop", "store:shop/counts", "lag:shop"])
def test_what_a_socket_sends_is_bounded(topic):
    import msgspec

    from console.live import topics

    found = topics.parse(topic)
    assert found.exists()
    small, whole = msgspec.json.encode(found.build()), msgspec.json.encode(snapshot.application("shop"))
    assert len(small) < 60_000 < len(whole)
