"""What the client returns: typed answers, read from the service's JSON. Pure data; any thread."""

from dataclasses import dataclass, field
from typing import Any


class QueryError(Exception):
    """A question that got no answer. `retryable` says whether asking again can help; `state` says what is going on.

    Codes are those of docs/contracts.md, section 2, and `unreachable` when no instance answers at all.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        state: dict[str, Any] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.state = state
        self.status = status


@dataclass(frozen=True, slots=True)
class Bounds:
    """A window (`end` exclusive) or a session (`end` inclusive), event times in ms."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: JSON forms of key and value, times in ms, `size` in bytes of the value.

    `found` is False for a key without an entry, None when its partition did not answer. `valid_to` is None for a
    version that is still the latest.
    """

    key: Any
    value: Any
    timestamp: int | None
    partition: int
    window: Bounds | None = None
    session: Bounds | None = None
    valid_from: int | None = None
    valid_to: int | None = None
    size: int | None = None
    found: bool | None = True


@dataclass(frozen=True, slots=True)
class Source:
    """Who answered for a partition: from which role, at which changelog position, how many records behind; or why not."""

    instance: str | None
    partition: int
    role: str | None
    position: int | None
    lag: int | None
    error: QueryError | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in order, where they came from, and the cursor of the next page (None: this was the last).

    `scanned`: how many rows a filter looked at for them; None where nothing was filtered.
    """

    entries: list[Entry]
    sources: list[Source]
    cursor: str | None = None
    scanned: int | None = None

    @property
    def failures(self) -> list[Source]:
        """The partitions that did not answer."""
        return [source for source in self.sources if source.error is not None]


@dataclass(frozen=True, slots=True)
class Counted:
    """An approximate count; `approximate` is None when no partition answered, `complete` False when some did not."""

    approximate: int | None
    complete: bool
    sources: list[Source] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Large:
    """One of a store's largest entries: its place, and `size` in bytes of the value, which is not read out."""

    key: Any
    size: int
    partition: int
    timestamp: int | None = None
    window: Bounds | None = None
    session: Bounds | None = None


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest among `scanned` rows; `complete` says whether those were all, `approximate` about how many there are."""

    entries: list[Large]
    scanned: int
    approximate: int | None
    complete: bool
    sources: list[Source] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has a partition: (instance, address) of the active copy, if anyone is known to own it, and of standbys."""

    partition: int
    task: str | None
    active: tuple[str, str | None] | None
    standbys: list[tuple[str, str | None]]


def entry_of(body: dict[str, Any]) -> Entry:
    """Read an entry."""
    return Entry(
        key=body["key"],
        value=body["value"],
        timestamp=body["timestamp"],
        partition=body["partition"],
        window=_bounds(body.get("window")),
        session=_bounds(body.get("session")),
        valid_from=body.get("valid_from"),
        valid_to=body.get("valid_to"),
        size=body.get("size"),
        found=body.get("found", True),
    )


def source_of(body: dict[str, Any]) -> Source:
    """Read a line of `sources`."""
    error = body.get("error")
    return Source(
        instance=body["instance"],
        partition=body["partition"],
        role=body["role"],
        position=body["position"],
        lag=body["lag"],
        error=error_of(error) if error is not None else None,
    )


def page_of(body: dict[str, Any]) -> Page:
    """Read the answer of `entries` or `multi-get`."""
    return Page(
        entries=[entry_of(each) for each in body["entries"]],
        sources=[source_of(each) for each in body["sources"]],
        cursor=body.get("cursor"),
        scanned=body.get("scanned"),
    )


def largest_of(body: dict[str, Any]) -> Largest:
    """Read the answer of `largest`."""
    entries = [
        Large(
            key=each["key"],
            size=each["size"],
            partition=each["partition"],
            timestamp=each["timestamp"],
            window=_bounds(each["window"]),
            session=_bounds(each["session"]),
        )
        for each in body["entries"]
    ]
    sources = [source_of(each) for each in body["sources"]]
    return Largest(entries, body["scanned"], body["approximate"], body["complete"], sources)


def count_of(body: dict[str, Any]) -> Counted:
    """Read the answer of `count`."""
    return Counted(body["approximate"], body["complete"], [source_of(each) for each in body["sources"]])


def owner_of(body: dict[str, Any]) -> Owner:
    """Read the answer of `owner`."""
    active = body["active"]
    return Owner(
        partition=body["partition"],
        task=body["task"],
        active=(active["instance"], active["address"]) if active is not None else None,
        standbys=[(each["instance"], each["address"]) for each in body["standbys"]],
    )


def error_of(body: dict[str, Any], status: int | None = None) -> QueryError:
    """Read an error."""
    return QueryError(
        str(body.get("code", "internal")),
        str(body.get("message", "")),
        retryable=body.get("retryable") is True,
        state=body.get("state"),
        status=status,
    )


def _bounds(body: dict[str, Any] | None) -> Bounds | None:
    return Bounds(body["start"], body["end"]) if body is not None else None
