"""Cogroups: several streams' aggregates write one store and hand their updates to one node.

What the record cache holds back is held by the aggregates together, so that a commit sends one update of a key whichever
of them touched it last. Windowed cogroups share it in `changes_of`.
"""

from __future__ import annotations

from engine.operators.aggregates import AggregateProcessor
from engine.operators.context import NodeContext
from engine.operators.processor import Output, Processor, implements
from engine.records import Batch
from engine.topology.window_operations import CogroupAggregate, MergeUpdates


@implements(CogroupAggregate)
class CogroupAggregateProcessor(AggregateProcessor):
    """Folds one stream's records into the store of its cogroup."""

    def init(self, context: NodeContext) -> None:
        """Take part in the state that the first of the cogroup's aggregates opened."""
        super().init(context)
        own = self._state
        self._state = context.shared(f"cogroup state {self.operation.store}", lambda: own)


@implements(MergeUpdates)
class MergeUpdatesProcessor(Processor):
    """Hands updates on."""

    def process(self, batch: Batch) -> Output:
        """The same updates: `KTablePassThrough` of Kafka Streams."""
        return batch
