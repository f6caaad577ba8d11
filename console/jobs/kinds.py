"""The kinds of jobs: what each may be asked for, and what carries it out. The table, and nothing else, knows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console.jobs import compact, export, rebuild, snapshot, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.jobs.work import Work
    from console.models import Job
    from console.observe.board import State

    Preview = Callable[[State, str, list[int], dict[str, Any]], dict[str, Any]]
    Run = Callable[[Work], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: ``preview`` is its dry run, ``run`` carries it out.

    ``clear`` removes what attempts have left on the worker's disk, once the job has ended without one of them doing so.
    ``refuse`` says what is wrong with a job's arguments. ``on_console``: a worker on the console's host does it, and not
    one beside the store. ``changed`` says in a sentence what of the live store has been changed so far, None for nothing.
    """

    name: str
    words: str
    preview: Preview
    run: Run
    refuse: Callable[[dict[str, Any]], str | None] | None = None
    on_console: bool = False
    clear: Callable[[Job], None] | None = None
    changed: Callable[[Job], str | None] = lambda _job: None


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "rebuild",
            "Build a fresh copy from the changelog beside the running task, then swap it in.",
            rebuild.preview,
            rebuild.run,
            clear=rebuild.clear,
            changed=rebuild.changed,
        ),
        Kind(
            "compact",
            "Have RocksDB compact a store partition.",
            compact.preview,
            compact.run,
            changed=compact.changed,
        ),
        Kind(
            "verify",
            "Compare the live store with a copy built from its changelog, or with a snapshot, row by row.",
            verify.preview,
            verify.run,
            refuse=verify.refuse,
            clear=verify.clear,
        ),
        Kind(
            "snapshot",
            "Build the store as its changelog had it at an offset or a time, to be browsed beside the present.",
            snapshot.preview,
            snapshot.run,
            refuse=snapshot.refuse,
            clear=snapshot.clear,
        ),
        Kind(
            "export",
            "Write a store's entries to a file.",
            export.preview,
            export.run,
            refuse=export.refuse,
            on_console=True,
        ),
    )
}
