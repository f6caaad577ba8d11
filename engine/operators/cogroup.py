"""Where the aggregates of a cogroup meet: each aggregate writes the one store and hands its updates to this node."""

from __future__ import annotations

from engine.operators.processor import Output, Processor, implements
from engine.records import Batch
from engine.topology.window_operations import MergeUpdates


@implements(MergeUpdates)
class MergeUpdatesProcessor(Processor):
    """Hands updates on. What the record cache holds back is shared by the aggregates (`changes_of`)."""

    def process(self, batch: Batch) -> Output:
        """The same updates: `KTablePassThrough` of Kafka Streams."""
        return batch
