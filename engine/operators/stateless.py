"""Operators that keep nothing: column in, column out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import compress
from typing import Any

from engine.operators.processor import Output, Processor, Routed, apply_each, implements
from engine.records import Batch
from engine.topology.stateless import (
    Branch,
    Filter,
    FlatMap,
    FlatMapValues,
    ForEach,
    HasKey,
    Map,
    MapValues,
    Merge,
    PassThrough,
    Peek,
    SelectKey,
)


class _Calling(Processor):
    """A processor that calls a user's function for each row."""

    def apply(self, function: Callable[..., Any], batch: Batch, *columns: list[Any]) -> tuple[list[Any], list[int]]:
        """Call the function on every row of `columns`; see `apply_each`."""
        return apply_each(function, lambda row, error: self.context.failed(batch, row, error), *columns)


@implements(Filter)
class FilterProcessor(_Calling):
    """Keeps or leaves out what the predicate holds for."""

    def process(self, batch: Batch) -> Output:
        """Call the predicate on each row."""
        holds, skipped = self.apply(self.operation.predicate, batch, batch.keys, batch.values)
        if self.operation.negate:
            holds = [not held for held in holds]
            for row in skipped:
                holds[row] = False
        kept = list(compress(range(len(batch)), holds))
        return batch if len(kept) == len(batch) else batch.take(kept)


@implements(HasKey)
class HasKeyProcessor(Processor):
    """Lets records without a key go, uncounted, as Kafka Streams does before a repartition; none where a join takes them."""

    def process(self, batch: Batch) -> Output:
        """Keep rows with a key."""
        if self.operation.relaxed or None not in batch.keys:
            return batch
        return batch.take([row for row, key in enumerate(batch.keys) if key is not None])


@implements(Map)
class MapProcessor(_Calling):
    """Replaces records by pairs."""

    def process(self, batch: Batch) -> Output:
        """Call the mapper on each row; what it returns must be a pair."""
        mapper = self.operation.mapper

        def pair(key: Any, value: Any) -> tuple[Any, Any]:
            new_key, new_value = mapper(key, value)
            return new_key, new_value

        pairs, skipped = self.apply(pair, batch, batch.keys, batch.values)
        if skipped:
            batch = batch.without(skipped)
            pairs = [found for found in pairs if found is not None]
        keys, values = map(list, zip(*pairs, strict=True)) if pairs else ([], [])
        return Batch(keys, values, batch.timestamps, headers=batch.headers, topic=batch.topic, offsets=batch.offsets)


@implements(MapValues)
class MapValuesProcessor(_Calling):
    """Replaces values; keys and their bytes stay."""

    def process(self, batch: Batch) -> Output:
        """Call the mapper on each row."""
        columns = (batch.keys, batch.values) if self.operation.with_key else (batch.values,)
        values, skipped = self.apply(self.operation.mapper, batch, *columns)
        return batch.with_values(values).without(skipped)


def _spread(batch: Batch, groups: list[Any], keys: list[Any] | None) -> Batch:
    """Records of `groups`, lists by row of pairs, or of values when `keys` gives the keys; times come from the rows."""
    rows = [row for row, group in enumerate(groups) for _ in group]
    items = [item for group in groups for item in group]
    parts = batch.take(rows)
    if keys is None:
        parts.keys = [key for key, _ in items]
        parts.values = [value for _, value in items]
        parts.raw_keys = parts.key_serde = None
    else:
        parts.values = items
    parts.olds = parts.latest = None
    return parts


def _listed(mapper: Callable[..., Any]) -> Callable[..., list[Any]]:
    """A mapper that runs through what it returns at once: a generator's errors belong to its row. None counts as none."""

    def call(*arguments: Any) -> list[Any]:
        found = mapper(*arguments)
        return [] if found is None else list(found)

    return call


@implements(FlatMap)
class FlatMapProcessor(_Calling):
    """Replaces records by any number of pairs."""

    def process(self, batch: Batch) -> Output:
        """Call the mapper on each row; what it yields must be pairs."""
        mapper = _listed(self.operation.mapper)

        def pairs(key: Any, value: Any) -> list[tuple[Any, Any]]:
            return [(new_key, new_value) for new_key, new_value in mapper(key, value)]

        groups, _ = self.apply(pairs, batch, batch.keys, batch.values)
        return _spread(batch, [group or () for group in groups], None)


@implements(FlatMapValues)
class FlatMapValuesProcessor(_Calling):
    """Replaces records by any number with the same key."""

    def process(self, batch: Batch) -> Output:
        """Call the mapper on each row."""
        columns = (batch.keys, batch.values) if self.operation.with_key else (batch.values,)
        groups, _ = self.apply(_listed(self.operation.mapper), batch, *columns)
        return _spread(batch, [group or () for group in groups], batch.keys)


@implements(SelectKey)
class SelectKeyProcessor(_Calling):
    """Replaces keys; values stay."""

    def process(self, batch: Batch) -> Output:
        """Call the selector on each row."""
        keys, skipped = self.apply(self.operation.selector, batch, batch.keys, batch.values)
        out = Batch(
            keys, batch.values, batch.timestamps, headers=batch.headers, topic=batch.topic, offsets=batch.offsets
        )
        return out.without(skipped)


@implements(Peek)
class PeekProcessor(_Calling):
    """Shows records to a function and hands them on."""

    def process(self, batch: Batch) -> Output:
        """Call the action on each row."""
        _, skipped = self.apply(self.operation.action, batch, batch.keys, batch.values)
        return batch.without(skipped)


@implements(ForEach)
class ForEachProcessor(_Calling):
    """Shows records to a function; nothing goes on."""

    def process(self, batch: Batch) -> Output:
        """Call the action on each row."""
        self.apply(self.operation.action, batch, batch.keys, batch.values)
        return None


@implements(Branch)
class BranchProcessor(_Calling):
    """Sends each record to the first branch that takes it."""

    def process(self, batch: Batch) -> Output:
        """Try the predicates in order; each sees only what the ones before it left."""
        branches: list[int | None] = [None] * len(batch)
        rest = list(range(len(batch)))
        left = batch
        for number, predicate in enumerate(self.operation.predicates):
            if not rest:
                break
            holds, skipped = self.apply(predicate, left, left.keys, left.values)
            for row in compress(rest, holds):
                branches[row] = number
            gone = set(skipped)
            kept = [place for place, held in enumerate(holds) if not held and place not in gone]
            rest = [rest[place] for place in kept]
            left = left.take(kept)
        if self.operation.has_default:
            for row in rest:
                branches[row] = len(self.operation.predicates)
        return _runs(batch, branches)


def _runs(batch: Batch, branches: list[int | None]) -> Routed:
    """Consecutive rows of one branch as one batch, so that the order across branches stays."""
    routed = Routed()
    run: list[int] = []
    for row, branch in enumerate(branches):
        if run and branch != branches[run[0]]:
            routed.append((branches[run[0]] or 0, batch.take(run)))
            run = []
        if branch is not None:
            run.append(row)
    if run:
        routed.append((branches[run[0]] or 0, batch.take(run)))
    return routed


@implements(PassThrough, Merge)
class PassThroughProcessor(Processor):
    """Hands records on as they are."""

    def process(self, batch: Batch) -> Output:
        """Nothing to do."""
        return batch
