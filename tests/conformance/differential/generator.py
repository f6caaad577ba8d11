"""Random cases of every op, the same for the same seed. Only inputs: what they give is for Kafka Streams to say."""

from collections.abc import Callable
from typing import Any

from tests.conformance.differential import store_calls
from tests.conformance.differential.chances import Chances

Params = dict[str, Any]
Inputs = list[list[Any]]
Make = Callable[[Chances], tuple[Params, Inputs]]
WALL_STEPS = (1, 500, 999, 1_000, 1_001, 3_000)
LONG_EVERY = 40
OPS: dict[str, Make] = {}


def case(op: str, seed: int) -> dict[str, Any]:
    """One case: its id names op and seed. Every fortieth is ten times as long."""
    long = seed % LONG_EVERY == LONG_EVERY - 1
    params, inputs = OPS[op](Chances(f"{op}/{seed}", long=long, odd=not op.endswith("-store")))
    return {"id": f"{op}/d{seed}{'-long' if long else ''}", "op": op, "params": params, "inputs": inputs}


def _op(*names: str) -> Callable[[Callable[..., tuple[Params, Inputs]]], Any]:
    def register(make: Callable[..., tuple[Params, Inputs]]) -> Any:
        for name in names:
            OPS[name] = lambda chances, name=name: make(name, chances)
        return make

    return register


def _records(chances: Chances, topics: str, value: Callable[[str, int], str | None], *, wall: bool = False) -> Inputs:
    rows: Inputs = []
    for place in range(chances.count()):
        if wall and chances.chance(0.2):
            rows.append(["@wall", None, None, chances.random.choice(WALL_STEPS)])
        topic = chances.random.choice(topics.split())
        rows.append([topic, chances.key(), value(topic, place), chances.time()])
    return rows


def _numbered(chances: Chances) -> Callable[[str, int], str | None]:
    return lambda topic, place: chances.value(f"{'v' if topic == 'in' else topic.lower()}{place}")


def _grouped(chances: Chances) -> Callable[[str, int], str | None]:
    """Values with a group before the colon: sometimes no colon, sometimes nothing before it."""

    def value(_topic: str, _place: int) -> str | None:
        text = chances.random.choice(("a", "b", "c", "")) + ":" + str(chances.random.randint(0, 3))
        return chances.value("a" if chances.chance(0.08) else text)

    return value


def _chosen(chances: Chances, *texts: str) -> Callable[[str, int], str | None]:
    return lambda _topic, _place: chances.value(chances.random.choice(texts))


def _store(chances: Chances) -> Params:
    return {"store": chances.random.choice(("rocksdb", "rocksdb", "in-memory"))}


def _emit_interval(chances: Chances) -> Params:
    return {"emit_interval_ms": 1_000} if chances.chance(0.25) else {}


# -- joins ----------------------------------------------------------------------------------------------------------------


@_op("ss-inner", "ss-left", "ss-outer", "self-inner")
def _stream_stream(op: str, chances: Chances) -> tuple[Params, Inputs]:
    params = {"before_ms": chances.span(), "after_ms": chances.span(), "grace_ms": chances.span(), **_store(chances)}
    chances.spans.append(params["before_ms"] + params["after_ms"] + params["grace_ms"])
    if op == "self-inner":
        params["optimized"] = chances.chance(0.6)
        return params, _records(chances, "in", _numbered(chances))
    params |= _emit_interval(chances)
    return params, _records(chances, "L R", _numbered(chances), wall="emit_interval_ms" in params)


@_op("st-inner", "st-left")
def _stream_table(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    params: Params = {"versioned": chances.chance(0.7)}
    if params["versioned"]:
        params["history_ms"] = chances.span()
        if chances.chance(0.6):
            params["grace_ms"] = min(chances.span(), params["history_ms"])
    return params, _records(chances, "L R", _numbered(chances))


@_op("gt-inner", "gt-left")
def _stream_global(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    def value(topic: str, place: int) -> str | None:
        head = chances.random.choice((*chances.keys, ""))
        return chances.value(f"g{place}" if topic == "G" else f"{head}:{place}" if chances.chance(0.85) else head)

    return {}, _records(chances, "L L G", value)


def _two_tables(chances: Chances) -> Params:
    params: Params = {
        "left_versioned": chances.chance(0.4),
        "right_versioned": chances.chance(0.4),
        "materialize": chances.chance(0.5),
    }
    if params["left_versioned"] or params["right_versioned"]:
        params["history_ms"] = chances.span()
    return params


@_op("tt-inner", "tt-left", "tt-outer")
def _table_table(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    return _two_tables(chances), _records(chances, "L R", _numbered(chances))


@_op("fk-inner", "fk-left")
def _foreign_key(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    foreign = chances.random.choice((("f", "f1", "f2"), ("f1", "f2"), chances.keys))
    rows: Inputs = []
    for place in range(chances.count()):
        number = 0 if chances.chance(0.4) else place
        if chances.chance(0.5):
            key = None if chances.chance(chances.null_keys) else chances.random.choice(foreign)
            rows.append(["R", key, chances.value(f"r{number}"), chances.time()])
        else:
            points_at = "|" + chances.random.choice((*foreign, *foreign, "f9", "", foreign[0] + "|x"))
            text = f"l{number}{'' if chances.chance(0.08) else points_at}"
            rows.append(["L", chances.key(), chances.value(text), chances.time()])
    return _two_tables(chances), rows


# -- aggregation ----------------------------------------------------------------------------------------------------------


@_op("count", "reduce", "aggregate")
def _aggregate(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    params = {"group_by": chances.random.choice(("key", "value")), **_store(chances)}
    return params, _records(chances, "in", _grouped(chances))


@_op("selectkey-count")
def _select_key(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    return {}, _records(chances, "in", _chosen(chances, ":x", "a:1", "b:1", "b:2", "c", ""))


@_op("table-count", "table-reduce", "table-aggregate")
def _table_aggregate(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    params: Params = {"versioned": chances.chance(0.3)}
    if params["versioned"]:
        params["history_ms"] = chances.span()
    return params, _records(chances, "in", _grouped(chances))


def _window_params(kind: str, chances: Chances) -> Params:
    if kind == "session":
        params = {"gap_ms": chances.span(least=1)}
    elif kind == "sliding":
        params = {"diff_ms": chances.span(least=1)}
    else:
        size = chances.span(least=1)
        params = {"size_ms": size}
        if kind == "hopping":
            advances = (size, size - 1, size // 2, size // 3, size // 5, size * 2 // 5)
            params["advance_ms"] = max(1, size // 20, chances.random.choice(advances))
            chances.spans.append(params["advance_ms"])
    params["grace_ms"] = chances.span()
    chances.spans.append(sum(params.values()))
    return params


@_op("tumbling", "hopping", "sliding", "session")
def _windowed(kind: str, chances: Chances) -> tuple[Params, Inputs]:
    params = _window_params(kind, chances)
    length = 2 * params["diff_ms"] if kind == "sliding" else params.get("size_ms", params.get("gap_ms"))
    params |= {
        "agg": chances.random.choice(("count", "reduce", "aggregate")),
        "emit": chances.random.choice(("update", "close")),
        **_store(chances),
    }
    if chances.chance(0.25):
        params["retention_ms"] = length + params["grace_ms"] + chances.random.choice((0, 1, 10, 30)) * chances.unit
        chances.spans.append(params["retention_ms"])
    if params["emit"] == "close":
        params |= _emit_interval(chances)
    return params, _records(chances, "in", _numbered(chances), wall="emit_interval_ms" in params)


@_op("suppress-close")
def _suppress_close(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    kind = chances.random.choice(("tumbling", "hopping", "sliding", "session"))
    params = {**_window_params(kind, chances), "window": kind, **_store(chances)}
    return params, _records(chances, "in", _numbered(chances))


@_op("suppress-limit")
def _suppress_limit(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    params: Params = {"limit_ms": chances.span()}
    if chances.chance(0.5):
        params["count"] = True
    if chances.chance(0.4):
        params["max_records"] = chances.random.choice((1, 1, 2, 3))
    return params, _records(chances, "in", _chosen(chances, "a", "b", "c"))


@_op("cogroup")
def _cogroup(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    kind = chances.random.choice(("none", "tumbling", "hopping", "sliding", "session"))
    params = {"window": kind} | ({} if kind == "none" else _window_params(kind, chances))
    return params, _records(chances, "A B", lambda _topic, place: chances.value(str(place)))


# -- tables, streams, punctuation -----------------------------------------------------------------------------------------


@_op("table-filter", "table-mapvalues")
def _table_map(op: str, chances: Chances) -> tuple[Params, Inputs]:
    params: Params = {"versioned": chances.chance(0.25), "materialize": chances.chance(0.5)}
    if op == "table-filter":
        params["not"] = chances.chance(0.4)
    if params["versioned"]:
        params["history_ms"] = chances.span()
    return params, _records(chances, "in", _chosen(chances, "a1", "a2", "b1", "é", "ß"))


@_op("to-table")
def _to_table(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    return {}, _records(chances, "in", _chosen(chances, "a", "b", "c"))


@_op("merge")
def _merge(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    return {}, _records(chances, "L R", _numbered(chances))


@_op("split")
def _split(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    texts = ("apple", "avocado", "b", "banana", "cherry", "Apple", "éa", "")
    return {}, _records(chances, "in", _chosen(chances, *texts))


@_op("flatmap")
def _flat_map(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    return {}, _records(chances, "in", _chosen(chances, "a", "a,b", "a,,b", "p,q,r", "x,y,", ",z", ",", ""))


@_op("punctuate")
def _punctuate(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    params: Params = {"echo": chances.chance(0.6)}
    which = chances.random.choice(("stream", "wall", "both"))
    if which != "wall":
        params["stream_ms"] = chances.span(least=1) * chances.random.choice((1, 1, 5))
        if chances.chance(0.3):
            params["stream_start_ms"] = chances.random.choice((0, 25, chances.unit))
    if which != "stream":
        params["wall_ms"] = chances.random.choice((10, 100))
        if chances.chance(0.3):
            params["wall_start_ms"] = chances.random.choice((0, 5, 150))
    if chances.chance(0.2):
        params["cancel_after"] = chances.random.choice((1, 3))
    rows: Inputs = []
    for row in _records(chances, "in", _numbered(chances)):
        if chances.chance(0.3):
            rows.append(["@wall", None, None, chances.random.choice((1, 49, 50, 99, 100, 101, 150, 300))])
        rows.append(row)
    return params, rows


# -- stores ---------------------------------------------------------------------------------------------------------------


@_op("kv-store")
def _key_value_store(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    kind = chances.random.choice(("rocksdb", "rocksdb", "in-memory", "in-memory", "lru"))
    params: Params = {"store": kind, "timestamped": kind != "lru" and chances.chance(0.2)}
    if kind == "lru":
        params["max_entries"] = chances.random.choice((1, 2, 3))
    return params, _calls(chances, store_calls.KeyValueCalls(chances, kind))


@_op("window-store")
def _window_store(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    window = chances.span(least=1)
    retention = window * chances.random.choice((1, 1, 2, 3, 10)) + chances.span()
    params = {**_store(chances), "window_ms": window, "retention_ms": retention, "duplicates": chances.chance(0.5)}
    chances.spans.append(retention)
    return params, _calls(chances, store_calls.WindowCalls(chances))


@_op("session-store")
def _session_store(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    params = {**_store(chances), "retention_ms": chances.span(least=1)}
    return params, _calls(chances, store_calls.SessionCalls(chances))


@_op("versioned-store")
def _versioned_store(_op: str, chances: Chances) -> tuple[Params, Inputs]:
    chances.keys = chances.keys[:2]
    params: Params = {"history_ms": chances.span()}
    if chances.chance(0.4):
        params["segment_ms"] = max(1, chances.random.choice((7, 66, chances.unit, params["history_ms"] // 3)))
        chances.spans.append(params["segment_ms"])
    return params, _calls(chances, store_calls.VersionedCalls(chances))


def _calls(chances: Chances, calls: store_calls.Calls) -> Inputs:
    """Ops on a store. The records' own times are unimportant and go their own way."""
    clock = Chances(str(chances.random.random()))
    return [["in", chances.key(), calls.next(), clock.time()] for _ in range(chances.count())]
