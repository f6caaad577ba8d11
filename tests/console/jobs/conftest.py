"""What tests of jobs share: messages that are kept, an engine double with a store on disk, a rebuild that was asked for."""

import pytest

from engine.changelog import restore
from engine.changelog.restore import Built
from tests.console import reports


@pytest.fixture(autouse=True)
def sent(monkeypatch):
    """Messages are kept, not sent; and nothing waits."""
    from console.jobs import states, tasks

    found = []
    monkeypatch.setattr(tasks.run, "apply_async", lambda args, queue, **_options: found.append((args[0], queue)))
    monkeypatch.setattr(tasks.clear, "apply_async", lambda **_: None)
    monkeypatch.setattr(states.pinger, "send", lambda *_: None)
    monkeypatch.setattr("console.jobs.control._POLL_S", 0.01)
    return found


@pytest.fixture
def stopped(observed, engine, tmp_path, monkeypatch, settings):
    """The shop on an engine double, with a store directory on disk and a changelog of 1,000 records."""
    directory = tmp_path / "shop" / "0_0" / "counts"
    (directory / "g00000001").mkdir(parents=True)
    (directory / "CURRENT").write_text("g00000001\n")
    engine.directory = directory
    engine.tasks = [
        {
            "task": "0_0",
            "partition": 0,
            "role": "active",
            "stores": {
                "counts": {
                    "generation": "g00000001",
                    "directory": str(directory),
                    "changelog": "shop-counts-changelog",
                    "backend": "rocksdb",
                    "spec": {"kind": "key-value", "timestamped": True},
                }
            },
        }
    ]
    engine.on_done = lambda _job: (directory / "CURRENT").write_text((engine.orders[-1][2] or "g00000001") + "\n")
    observed.report(
        *reports.shop(),
        reports.instance("engine-1", sequence=2, tasks=["0_0"], host=settings.HOST_NAME, address=engine.address),
        reports.instance("engine-2", sequence=2, tasks=["0_1"], host=settings.HOST_NAME, address=engine.address),
    )
    monkeypatch.setattr(
        "console.jobs.survey.offsets", lambda _changelog, partitions: dict.fromkeys(partitions, (0, 1_000))
    )
    engine.built = []

    def build(spec, changelog, partition, place, *, progress, cancelled, **_options):
        engine.built.append((spec.name, spec.timestamped, changelog, partition, place.name))
        place.mkdir()
        (place / "data").write_text("x")
        restoring = restore.Restoring("", spec.name, changelog, partition, None, 0, 1_000, "operator")
        for position in (250, 500, 1_000):
            if cancelled():
                raise restore.Cancelled("cancelled")
            restoring.position = restoring.records = position
            progress(restoring)
        return Built(1_000, 1_000, 9_000)

    monkeypatch.setattr(restore, "build_generation", build)
    return engine


@pytest.fixture
def operator(account):
    return account("operator")


@pytest.fixture
def ordered(stopped, operator):  # noqa: ARG001 - fixtures ask for fixtures by argument
    from tests.console.jobs.made import make

    return make(operator)


@pytest.fixture
def left_in_the_engine(ordered, stopped):
    """A rebuild whose worker died (``kill -9``) once the engine had taken its swap, and was following the changelog."""
    from console.jobs import control
    from tests.console.jobs.made import expire
    from tests.console.killing import deliver_and_die

    stopped.phases = ["replaying"]
    deliver_and_die(ordered, control._Following, "step", after=True)
    assert stopped.orders == [("swap", f"{ordered.pk}:0", "g00000002")]
    expire(ordered)
    return ordered
