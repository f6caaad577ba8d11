"""A job is delivered three times and its worker is killed (``kill -9``) at each step: its effect happens once, its row ends.

Here the jobs that order something of the engine; the others' kills stand with the rest of their tests.
"""

import pytest

from console.jobs import control, delivery, staging, work
from tests.console.jobs.made import make, names
from tests.console.killing import deliver_and_die, delivered_three_times

pytestmark = pytest.mark.django_db(transaction=True)

# After the effect, before the row says so.
END = (delivery, "_end", False)
REBUILD = {
    "the copy is begun": (staging.Staged, "prepare", False),
    "the copy is built, not named": (staging.Staged, "complete", False),
    "the copy is named": (staging.Staged, "complete", True),
    "the row is about to be closed": END,
}
COMPACT = {
    "nothing is ordered": (control, "carry_through", False),
    "the engine has compacted": (control, "carry_through", True),
    "one partition is noted": (work.Work, "remember", True),
    "the row is about to be closed": END,
}


@pytest.mark.parametrize("step", REBUILD)
def test_a_rebuild_happens_once_wherever_its_worker_is_killed(step, ordered, stopped):
    module, name, after = REBUILD[step]
    deliver_and_die(ordered, module, name, after=after)
    delivered_three_times(ordered)
    assert (stopped.directory / "CURRENT").read_text() == "g00000002\n"
    assert names(stopped.directory) == ["CURRENT", "g00000001", "g00000002"]
    assert len([order for order in stopped.orders if order[0] == "swap"]) == 1


@pytest.mark.parametrize("step", COMPACT)
def test_each_partition_is_compacted_once_wherever_the_worker_is_killed(step, stopped, operator):
    stopped.phases = ["queued", "compacting", "done"]
    stopped.facts = {"bytes_before": 900, "bytes_after": 400, "levels_before": [3], "levels_after": [0, 1]}
    job = make(operator, kind="compact", partitions=[0, 1])
    module, name, after = COMPACT[step]
    deliver_and_die(job, module, name, after=after)
    delivered_three_times(job)
    assert (job.result["bytes_before"], job.result["bytes_after"]) == (1_800, 800)
    assert [what for what, *_ in stopped.orders] == ["compact", "compact"]
    assert len({order for _, order, _ in stopped.orders}) == 2
