"""A compaction tells the sizes before and after."""

import pytest

from console.jobs import delivery
from tests.console.jobs.made import make

pytestmark = pytest.mark.django_db(transaction=True)


def test_compact_keeps_the_sizes_before_and_after(stopped, operator):
    stopped.phases = ["queued", "compacting", "done"]
    stopped.facts = {"bytes_before": 900, "bytes_after": 400, "levels_before": [3], "levels_after": [0, 1]}
    job = make(operator, kind="compact", partitions=[0, 1])

    delivery.deliver(job.pk)

    job.refresh_from_db()
    assert (job.state, job.result["bytes_before"], job.result["bytes_after"]) == ("succeeded", 1_800, 800)
    assert [order[0] for order in stopped.orders] == ["compact", "compact"]
