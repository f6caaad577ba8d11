"""What a reader asks of a store: the parameters of `entries`, checked before anything is read.

A `Question` is plain data; `span` turns it into bounds for a store's kind. Pure functions; any thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.query import cursor as cursors
from engine.query.cursor import Cursor
from engine.query.encoding import Codec, codec
from engine.query.expression import Test, compiled
from engine.query.limits import PAGE_ENTRIES_DEFAULT, PAGE_ENTRIES_MAX
from engine.query.refusal import bad_request
from engine.topology.stores import StoreSpec

_INT64_MAX = 2**63 - 1
_TEXTS = ("key", "prefix", "from", "to", "where", "cursor", "key_format", "value_format")
_TIMES = ("window_from", "window_to", "session_from", "session_to", "as_of", "valid_from", "valid_to")
_NUMBERS = (*_TIMES, "limit", "partition", "max_lag")
_FLAGS = ("reverse", "local")
NAMES = frozenset((*_TEXTS, *_NUMBERS, *_FLAGS))


@dataclass(frozen=True, slots=True)
class Question:
    """One checked request for entries. `exact` is the key of a point read; `lower` and `upper` are inclusive.

    `versions`: every version of the key that was valid at some time from `time_from` to `time_to`. `where` lets only
    entries through that it holds for.
    """

    store: str
    spec: StoreSpec
    keys: Codec
    values: Codec
    exact: bytes | None
    prefix: bytes | None
    lower: bytes | None
    upper: bytes | None
    time_from: int | None
    time_to: int | None
    as_of: int | None
    versions: bool
    where: Test | None
    reverse: bool
    limit: int
    cursor: Cursor | None
    partition: int | None
    local: bool
    max_lag: int | None
    digest: str
    given: Mapping[str, str]

    @property
    def is_point(self) -> bool:
        """Whether at most one entry can answer: a key of a store without windows."""
        return self.exact is not None and self.spec.kind in {"key-value", "versioned"} and not self.versions

    def forwarded(self, partition: int, limit: int, cursor: Cursor | None) -> dict[str, str]:
        """The query parameters with which an owner is asked for its part of the page."""
        parameters = {name: text for name, text in self.given.items() if name != "cursor"}
        parameters |= {"partition": str(partition), "local": "true", "limit": str(limit)}
        if cursor is not None:
            parameters["cursor"] = cursors.write(cursor, self.digest)
        return parameters


def single_values(pairs: list[tuple[str, str]], known: frozenset[str]) -> dict[str, str]:
    """Check that each parameter is known and given once: a mistyped one would silently ask something else."""
    given: dict[str, str] = {}
    for name, text in pairs:
        if name not in known:
            raise bad_request(f"unknown parameter {name[:60]!r}: use {', '.join(sorted(known))}")
        if name in given:
            raise bad_request(f"{name}= is given twice")
        given[name] = text
    return given


def parse(spec: StoreSpec, pairs: list[tuple[str, str]]) -> Question:
    """Check the parameters of `entries` against the store's kind; raise a bad-request Refusal that says how to ask."""
    given = single_values(pairs, NAMES)
    selectors: list[str] = [name for name in ("key", "prefix") if name in given]
    if "from" in given or "to" in given:
        selectors.append("from/to")
    if len(selectors) > 1:
        raise bad_request(f"{' and '.join(selectors)} exclude each other: give one of key=, prefix=, from=/to=")
    keys = codec(spec.key_serde, given.get("key_format"), "key_format")
    values = codec(spec.value_serde, given.get("value_format"), "value_format")
    exact = keys.from_text(given["key"], "key") if "key" in given else None
    prefix = keys.prefix_from_text(given["prefix"]) if "prefix" in given else None
    lower = keys.from_text(given["from"], "from") if "from" in given else None
    upper = keys.from_text(given["to"], "to") if "to" in given else None
    if lower is not None and upper is not None and lower > upper:
        raise bad_request(
            "from= lies after to= in the store's order, which is that of the serialised bytes"
            " (negative numbers after positive ones): swap them, or ask in two parts"
        )
    time_from, time_to = _times(spec, given)
    as_of = number(given, "as_of", minimum=0)
    if as_of is not None and (spec.kind != "versioned" or exact is None):
        raise bad_request("as_of= needs a versioned store and key=")
    versions = "valid_from" in given or "valid_to" in given
    if versions:
        time_from, time_to = _validity(spec, given, exact)
    where = compiled(given["where"]) if "where" in given else None
    reverse = flag(given, "reverse")
    question = cursors.digest(
        spec.name, exact, prefix, lower, upper, time_from, time_to, reverse, given.get("where"), versions
    )
    partition = number(given, "partition", minimum=0)
    cursor = cursors.read(given["cursor"], question) if "cursor" in given else None
    if cursor is not None and partition is not None and cursor.partition != partition:
        raise bad_request(f"the cursor continues in partition {cursor.partition}, not in {partition}: drop one of them")
    limit = number(given, "limit", minimum=1, maximum=PAGE_ENTRIES_MAX) or PAGE_ENTRIES_DEFAULT
    return Question(
        store=spec.name,
        spec=spec,
        keys=keys,
        values=values,
        exact=exact,
        prefix=prefix,
        lower=lower if exact is None else exact,
        upper=upper if exact is None else exact,
        time_from=time_from,
        time_to=time_to,
        as_of=as_of,
        versions=versions,
        where=where,
        reverse=reverse,
        limit=limit,
        cursor=cursor,
        partition=partition,
        local=flag(given, "local"),
        max_lag=number(given, "max_lag", minimum=0),
        digest=question,
        given=given,
    )


def _times(spec: StoreSpec, given: Mapping[str, str]) -> tuple[int | None, int | None]:
    """The time bounds that fit the store's kind; those of another kind are refused rather than ignored."""
    named = {"window": "window", "session": "session"}
    for kind, name in named.items():
        if spec.kind != kind and (f"{name}_from" in given or f"{name}_to" in given):
            raise bad_request(f"{name}_from= and {name}_to= need a {kind} store; {spec.name} is a {spec.kind} store")
    if spec.kind not in named:
        return None, None
    name = named[spec.kind]
    time_from, time_to = number(given, f"{name}_from"), number(given, f"{name}_to")
    if time_from is not None and time_to is not None and time_from > time_to:
        raise bad_request(f"{name}_from= lies after {name}_to=: swap them")
    return time_from, time_to


def _validity(spec: StoreSpec, given: Mapping[str, str], exact: bytes | None) -> tuple[int | None, int | None]:
    """The bounds of a key's versions."""
    if spec.kind != "versioned" or exact is None:
        raise bad_request("valid_from= and valid_to= need a versioned store and key=: they ask for a key's versions")
    if "as_of" in given or flag(given, "reverse"):
        raise bad_request("versions come newest first, without as_of= and reverse=: leave those out")
    time_from, time_to = number(given, "valid_from", minimum=0), number(given, "valid_to", minimum=0)
    if time_from is not None and time_to is not None and time_from > time_to:
        raise bad_request("valid_from= lies after valid_to=: swap them")
    return time_from, time_to


def number(given: Mapping[str, str], name: str, minimum: int | None = None, maximum: int = _INT64_MAX) -> int | None:
    """Read a whole number; None when it is not given."""
    text = given.get(name)
    if text is None:
        return None
    least = -_INT64_MAX if minimum is None else minimum
    # isascii: isdecimal alone takes digits of every script. The length keeps int() from long arithmetic.
    if text.isascii() and text.removeprefix("-").isdecimal() and len(text) <= len(str(_INT64_MAX)) + 1:
        value = int(text)
        if least <= value <= maximum:
            return value
    raise bad_request(f"{name}={text[:40]!r}: a whole number from {least} to {maximum} is expected")


def flag(given: Mapping[str, str], name: str) -> bool:
    """Read `true` or `false`; false when it is not given."""
    text = given.get(name, "false")
    if text not in {"true", "false"}:
        raise bad_request(f"{name}={text[:40]!r}: true or false is expected")
    return text == "true"
