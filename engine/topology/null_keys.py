"""Records without a key before a repartition topic: let go there, unless a join below emits them unmatched (KIP-962)."""

from __future__ import annotations

from dataclasses import replace

from engine.topology.graph import Graph, children_of
from engine.topology.join_operations import StreamJoinSide, StreamTableJoin
from engine.topology.operations import Operation, Sink, Source
from engine.topology.stateless import HasKey


def let_null_keys_pass(graph: Graph) -> None:
    """Open each repartition's filter that has a left or outer join of a stream somewhere below it, as Kafka Streams does."""
    operations = {name: node.operation for name, node in graph.nodes.items()}
    readers = {
        topic: name for name, o in operations.items() if isinstance(o, Source) and o.internal for topic in o.topics
    }
    children = children_of(graph.nodes)
    leads: dict[str, bool] = {}
    # Children, and the readers of internal topics, are made after what feeds them.
    for name in reversed(operations):
        operation = operations[name]
        below = list(children[name])
        if isinstance(operation, Sink) and operation.internal:
            below.append(readers[str(operation.topic)])
        leads[name] = any(leads[each] or _takes_null_keys(operations[each]) for each in below)
        if isinstance(operation, HasKey) and leads[name]:
            graph.replace_operation(name, replace(operation, relaxed=True))


def _takes_null_keys(operation: Operation) -> bool:
    if isinstance(operation, StreamTableJoin):
        return operation.left
    return isinstance(operation, StreamJoinSide) and operation.pending is not None
