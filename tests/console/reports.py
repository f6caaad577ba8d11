"""Status records as engines write them, with the fewest words."""

import time

from engine.control import status


def now_ms():
    return time.time_ns() // 1_000_000


def instance(name="engine-1", app="shop", *, incarnation=1, sequence=1, at=None, **fields):
    fields = {
        "state": "running",
        "started_at": 1_700_000_000_000,
        "guarantee": "exactly_once_v2",
        "topology_hash": "t1",
        "host": "h1",
        "pid": 100,
        "address": None,
        "tasks": [],
    } | fields
    return status.InstanceStatus(
        application=app, instance=name, incarnation=incarnation, sequence=sequence, at=at or now_ms(), **fields
    )


def task(
    name="0_0",
    on="engine-1",
    app="shop",
    *,
    role="active",
    state="running",
    incarnation=1,
    sequence=1,
    at=None,
    lag=0,
    position=100,
    topic="orders",
    **fields,
):
    partition = int(name.split("_")[1])
    inputs = [
        status.Input(
            topic=topic,
            partition=partition,
            position=position,
            committed=position,
            begin=0,
            end=position + (lag or 0),
            lag=lag,
            lag_ms=0,
            rate_per_second=5.0,
        )
    ]
    return status.TaskStatus(
        application=app,
        instance=on,
        incarnation=incarnation,
        sequence=sequence,
        at=at or now_ms(),
        task=name,
        partition=partition,
        role=role,
        state=state,
        **{"inputs": inputs} | fields,
    )


def store(name="counts", task_id="0_0", on="engine-1", app="shop", *, incarnation=1, sequence=1, at=None, **fields):
    fields = {
        "role": "active",
        "store_kind": "key-value",
        "backend": "rocksdb",
        "phase": "done",
        "changelog": f"{app}-{name}-changelog",
        "start": 0,
        "position": 50,
        "end": 50,
        "snapshot_end": 50,
        "lag": 0,
        "keys_estimate": 16,
        "bytes": 1_000,
        "generation": "g00000001",
    } | fields
    return status.StoreStatus(
        application=app,
        instance=on,
        incarnation=incarnation,
        sequence=sequence,
        at=at or now_ms(),
        task=task_id,
        store=name,
        partition=int(task_id.split("_")[1]),
        **fields,
    )


def event(sequence, what="rebalance", on="engine-1", app="shop", *, incarnation=1, at=None, **fields):
    return status.EventStatus(
        application=app,
        instance=on,
        incarnation=incarnation,
        sequence=sequence,
        at=at or now_ms(),
        event=what,
        message="words",
        **fields,
    )


def topology(app="shop", partitions=2, stores=("counts",), *, on="engine-1", incarnation=1, sequence=1):
    description = {
        "hash": "t1",
        "sub_topologies": [
            {"id": 0, "partitions": partitions, "nodes": [], "sources": ["orders"], "sinks": [], "stores": list(stores)}
        ],
        "stores": [
            {
                "name": each,
                "kind": "key-value",
                "backend": "rocksdb",
                "key_serde": "string",
                "value_serde": "int64",
                "changelog": f"{app}-{each}-changelog",
                "caching": True,
                "window_ms": None,
                "retention_ms": None,
                "sub_topology": 0,
            }
            for each in stores
        ],
    }
    return status.TopologyStatus(
        application=app,
        instance=on,
        incarnation=incarnation,
        sequence=sequence,
        at=now_ms(),
        hash="t1",
        description=description,
    )


def key_and_value(record):
    return record.key.encode(), status.encode(record)


def shop():
    """An application of two tasks on two instances, all well."""
    return [
        topology(),
        instance("engine-1", tasks=["0_0"], rates=status.Rates(in_per_second=10.0)),
        instance("engine-2", tasks=["0_1"], rates=status.Rates(in_per_second=5.0)),
        task("0_0", "engine-1"),
        task("0_1", "engine-2"),
        store("counts", "0_0", "engine-1"),
        store("counts", "0_1", "engine-2"),
    ]
