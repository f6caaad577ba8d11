"""What a store could not log costs its record and no other."""

import pytest

from engine import Consumed, Materialized, TopologyTestDriver, serdes
from engine.config import EngineConfig
from engine.runtime.handlers import PolicyHandlers


@pytest.mark.parametrize("bad", [b"9223372036854775807", b"many"])
@pytest.mark.parametrize("caching", [True, False])
def test_a_result_that_the_stores_serde_refuses_costs_its_record_and_no_other(caching, bad):
    def build(builder):
        builder.stream("in", Consumed(serdes.string, serdes.string)).group_by_key().aggregate(
            lambda: 0,
            lambda _, value, total: total + int(value) if value.isdigit() else value,
            Materialized("sums", serdes.string, serdes.int64),
        )

    skipping = PolicyHandlers(EngineConfig("shop", processing_handler="skip"), None, lambda _: None)
    with TopologyTestDriver(build, application_id="shop", caching=caching, handlers=skipping) as driver:
        driver.pipe_raw("in", [(b"k", b"1", 0, None), (b"k", bad, 1, None), (b"k", b"2", 2, None)])
        driver.commit()
        assert driver.store("sums").get("k").value == 3
    assert skipping.skipped_total == 1
