"""What every `engine.query.ports.Instance` keeps to. A test class inherits it and gives a fixture `instance` that holds
at least one partition of a store whose partitions are known, with at least one committed entry in it."""

import threading

from engine.query.ports import Scan
from engine.query.views import view_of
from engine.topology.stores import StoreSpec

ROLES = {"active", "standby", "global"}
PHASES = {"queued", "fetching", "applying", "verifying", "done", "suspended"}
STATES = {"starting", "running", "rebalancing", "stopping", "failed"}
ALL = Scan(lower=None, upper=None, limit=100, bytes_max=1_000_000)


class InstanceContract:
    def test_it_names_itself(self, instance):
        assert instance.application_id
        assert instance.instance_id
        assert instance.state() in STATES

    def test_every_handle_is_found_by_store_and_partition(self, instance):
        handles = instance.handles()
        assert handles
        for handle in handles:
            found = instance.handle(handle.spec.name, handle.partition)
            assert (found.spec, found.partition, found.task) == (handle.spec, handle.partition, handle.task)

    def test_handles_are_of_the_topologys_stores(self, instance):
        specs = instance.specs()
        assert all(isinstance(spec, StoreSpec) and name == spec.name for name, spec in specs.items())
        for handle in instance.handles():
            assert specs[handle.spec.name] == handle.spec

    def test_a_partition_that_is_not_here_has_no_handle(self, instance):
        store = instance.handles()[0].spec.name
        assert instance.handle(store, 999_999) is None
        assert instance.handle("no-such-store", 0) is None

    def test_partitions_are_counted_or_unknown(self, instance):
        for handle in instance.handles():
            count = instance.partition_count(handle.spec.name)
            if not instance.is_global(handle.spec.name):
                assert count is None or handle.partition < count
                spread = instance.key_partitions(handle.spec.name)
                assert spread is None or count is None or 0 < spread <= count
        assert instance.partition_count("no-such-store") is None

    def test_facts_have_the_contracts_words_and_are_numbers_or_unknown(self, instance):
        for handle in instance.handles():
            assert handle.role in ROLES
            assert handle.phase in PHASES
            assert isinstance(handle.moving, bool)
            for fact in (handle.start, handle.position, handle.end, handle.lag, handle.keys_estimate, handle.bytes):
                assert fact is None or (isinstance(fact, int) and fact >= 0)

    def test_committed_content_is_read_from_another_thread(self, instance):
        read = []

        def reader():
            read.extend(view_of(handle.spec.kind, handle.committed()).scan(ALL) for handle in instance.handles())

        thread = threading.Thread(target=reader)
        thread.start()
        thread.join(30)
        assert any(rows for rows, _ in read)

    def test_status_and_topology_are_json(self, instance):
        from engine.query import encoding

        assert set(instance.status()) == {"instance", "tasks", "stores"}
        encoding.write(dict(instance.status()))
        encoding.write(dict(instance.topology()))
