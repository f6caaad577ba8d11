"""`engine reset`: everything of the application, nothing of its neighbours, and a dry run that equals the effect."""

from pathlib import Path

import pytest
from confluent_kafka import Consumer

from engine.control.application_records import keys
from engine.errors import StateDirectoryLocked
from engine.hosting.reset import Reset, ResetRefused, Start
from engine.management import resetting
from engine.runtime.state_directory import StateDirectory
from tests.runtime import programs
from tests.runtime.harness import (
    committed_offsets,
    config,
    counted,
    create,
    eventually,
    fold,
    produce,
    read,
    run_to_the_end,
    running,
)

pytestmark = pytest.mark.kafka
RECORDS = 100


@pytest.fixture
def neighbours(kafka, tmp_path):
    """`<name>` and `<name>-v1`, each with a repartition topic, a changelog, offsets, local state and status records."""
    name = kafka.unique("reset")
    for application in (name, f"{name}-v1"):
        create(kafka, programs.input_topic(application), partitions=2)
        create(kafka, programs.output_topic(application))
        produce(kafka, programs.input_topic(application), [(b"k", b"v%d" % (i % 5)) for i in range(RECORDS)])
        run_to_the_end(programs.regrouped(application), config(kafka, application, tmp_path / "state" / "1"))
    # Neither theirs nor anybody's record says so: a name alone makes no owner.
    create(kafka, f"{name}-by-hand-changelog")
    return name


def world(kafka, state: Path):
    """All that a reset could touch."""
    admin = kafka.admin()
    topics = {t for t in admin.list_topics(timeout=20).topics if not t.startswith("__")}
    groups = {g.group_id for g in admin.list_consumer_groups().result().valid}
    return topics, groups, {str(p.relative_to(state)) for p in state.rglob("*") if p.name != ".lock"}


def options(kafka, application, state, **changes):
    told = {
        "application_id": application,
        "bootstrap_servers": kafka.bootstrap_servers,
        "client_settings": None,
        "state_dir": [state],
        "input_topics": "",
        "to_earliest": False,
        "to_latest": False,
        "to_offset": None,
        "dry_run": False,
        "yes": False,
    }
    return {**told, **changes}


def test_a_reset_does_what_its_dry_run_said_and_leaves_the_neighbour_alone(kafka, neighbours, tmp_path):
    name, state = neighbours, tmp_path / "state"
    client = {"bootstrap.servers": kafka.bootstrap_servers}
    before = world(kafka, state)
    others_records = keys(client, f"{name}-v1")
    said, shown = [], []
    assert resetting.run(options(kafka, name, state, dry_run=True), shown.append) == 0
    assert world(kafka, state) == before
    assert keys(client, name) != []
    # Anything but the id typed in full changes nothing.
    assert resetting.run(options(kafka, name, state), said.append, ask=lambda _: f"{name}-v1") == 2
    assert world(kafka, state) == before

    said.clear()
    assert resetting.run(options(kafka, name, state), said.append, ask=lambda _: name) == 0
    assert said[:-1] == shown[:-1]
    topics, groups, files = world(kafka, state)
    gone = {f"{name}-by-value-counts-changelog", f"{name}-by-value-repartition", f"{name}-tasks"}
    assert before[0] - topics == gone
    assert {line.removeprefix("delete topic ") for line in shown if line.startswith("delete topic ")} == gone
    assert before[1] - groups == {name}
    assert {f for f in before[2] - files if not f.startswith(f"1/{name}/")} == {f"1/{name}"}
    assert any(f.startswith(f"1/{name}-v1/") for f in files)
    assert keys(client, name) == []
    assert keys(client, f"{name}-v1") == others_records != []

    # It starts over; the neighbour goes on.
    run_to_the_end(programs.regrouped(name), config(kafka, name, state / "1"))
    again = counted(fold(read(kafka, f"{name}-by-value-counts-changelog")))
    assert again == {b"v%d" % i: RECORDS // 5 for i in range(5)}
    run_to_the_end(programs.regrouped(f"{name}-v1"), config(kafka, f"{name}-v1", state / "1"))
    assert counted(fold(read(kafka, f"{name}-v1-by-value-counts-changelog"))) == again


def test_live_members_a_held_directory_and_an_unknown_application_are_refused(kafka, tmp_path, monkeypatch):
    name = kafka.unique("alive")
    create(kafka, programs.input_topic(name))
    create(kafka, programs.output_topic(name))
    reset = Reset({"bootstrap.servers": kafka.bootstrap_servers}, name, [tmp_path / "state"])
    with pytest.raises(ResetRefused, match="has ever run"):
        reset.plan()
    with running(programs.counts(name), config(kafka, name, tmp_path / "state")) as engine:
        eventually(lambda: hasattr(engine, "tasks") and engine.tasks.running(), "its task")
        with pytest.raises(ResetRefused, match="1 live members"):
            reset.plan()
        assert resetting.run(options(kafka, name, tmp_path / "state", yes=True), print) == 2
    reset = Reset({"bootstrap.servers": kafka.bootstrap_servers}, name, [tmp_path / "state"])
    plan = reset.plan()
    # An engine of another application may hold the directory.
    held = StateDirectory(tmp_path / "state", "other")
    held.lock()
    with pytest.raises(StateDirectoryLocked):
        reset.carry_out(plan)
    held.unlock()
    # A member that joined after the plan was made is safe too.
    late = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": name, "session.timeout.ms": 6_000})
    late.subscribe([programs.input_topic(name)])
    eventually(lambda: late.poll(0.1) or late.assignment(), "its assignment")
    with pytest.raises(ResetRefused, match="1 live members"):
        reset.carry_out(plan)
    # And at the last moment: between that look and the deed.
    monkeypatch.setattr(reset, "_refuse_if_alive", lambda: None)
    with pytest.raises(ResetRefused, match="joined meanwhile"):
        reset.carry_out(plan)
    late.close()
    assert (tmp_path / "state" / name).is_dir()


def test_an_instance_that_starts_after_the_plan_keeps_its_topics_without_a_group_to_delete(kafka, tmp_path):
    name = kafka.unique("late")
    create(kafka, programs.input_topic(name))
    create(kafka, programs.output_topic(name))
    run_to_the_end(programs.regrouped(name), config(kafka, name, tmp_path / "one"))
    # As after a reset that was cut off behind the offsets.
    admin = kafka.admin()
    admin.delete_consumer_groups([name])[name].result(20)
    reset = Reset({"bootstrap.servers": kafka.bootstrap_servers}, name, [tmp_path / "one"])
    plan = reset.plan()
    assert (plan.group, len(plan.topics)) == (False, 3)
    with running(programs.regrouped(name), config(kafka, name, tmp_path / "two")) as engine:
        eventually(lambda: hasattr(engine, "tasks") and engine.tasks.running(), "its task")
        with pytest.raises(ResetRefused, match="1 live members"):
            reset.carry_out(plan)
        assert set(plan.topics) <= set(admin.list_topics(timeout=20).topics)
    assert (tmp_path / "one" / name).is_dir()


@pytest.mark.parametrize(
    ("start", "expected"),
    [(Start("earliest"), 0), (Start("latest"), 10), (Start("offset", 4), 4), (Start("offset", 99), 10)],
)
def test_inputs_begin_where_they_are_told(kafka, tmp_path, start, expected):
    name = kafka.unique("begin")
    create(kafka, programs.input_topic(name))
    create(kafka, programs.output_topic(name))
    produce(kafka, programs.input_topic(name), [(b"k", b"v")] * 10)
    run_to_the_end(programs.counts(name), config(kafka, name, tmp_path / "state"))
    reset = Reset({"bootstrap.servers": kafka.bootstrap_servers}, name, [tmp_path / "state"])
    plan = reset.plan(start)
    assert plan.offsets == {(programs.input_topic(name), 0): expected}
    with pytest.raises(ResetRefused, match="does not exist"):
        reset.plan(start, [f"{name}-nowhere"])
    with pytest.raises(ResetRefused, match="internal topic"):
        reset.plan(start, [f"{name}-counts-changelog"])
    reset.carry_out(plan)
    assert committed_offsets(kafka, name, programs.input_topic(name), 1) == {0: expected}


def test_a_topic_that_two_applications_recorded_is_refused(kafka, tmp_path):
    name = kafka.unique("shared")
    # Store v1-counts of one and store counts of the other have one changelog.
    for application, store in ((name, "v1-counts"), (f"{name}-v1", "counts")):
        create(kafka, programs.input_topic(application))

        def build(builder, application=application, store=store):
            from engine import Consumed, Materialized, serdes

            builder.stream(
                programs.input_topic(application), Consumed(serdes.string, serdes.string)
            ).group_by_key().count(Materialized(store, serdes.string, serdes.int64))

        run_to_the_end(build, config(kafka, application, tmp_path / application))
    for application, other in ((name, f"{name}-v1"), (f"{name}-v1", name)):
        with pytest.raises(ResetRefused, match=f"{name}-v1-counts-changelog belongs to application {other} as well"):
            Reset({"bootstrap.servers": kafka.bootstrap_servers}, application).plan()
