"""What a job would do, before anyone says yes. Reads the board and Kafka's offsets; changes nothing."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from console.jobs.kinds import KINDS
from console.observe import store_shapes
from console.observe.board import reader


class Unknown(Exception):
    """There is no such application, store or partition."""


def preview(
    kind: str, application: str, store: str, partitions: list[int], arguments: dict[str, Any]
) -> dict[str, Any]:
    """Return the dry run (its shape is in docs/snapshots.md)."""
    board = reader.read(fresh=True)
    state = board.applications.get(application)
    if state is None:
        raise Unknown(f"No instance has reported an application {application!r}.")
    if store not in store_shapes.store_names(state):
        raise Unknown(f"Application {application} has no store {store!r}.")
    known = store_shapes.all_partitions(state, store)
    absent = sorted(set(partitions) - set(known))
    if absent:
        raise Unknown(f"Store {store} has no partition {absent[0]}.")
    shown = KINDS[kind].preview(state, store, partitions, arguments)
    if board.observer["stale"]:
        shown["problems"].insert(0, "What is known is stale: wait until the observer reports again.")
    hosts = sorted({each["host"] for each in shown["partitions"] if each["host"]})
    if KINDS[kind].on_console:
        hosts = [settings.HOST_NAME]
    if len(hosts) > 1:
        shown["problems"].append(
            f"The partitions are on several hosts ({', '.join(hosts)}). Make one job for each host."
        )
    shown |= {"kind": kind, "application": application, "store": store, "host": hosts[0] if len(hosts) == 1 else None}
    shown["can_run"] = not shown["problems"] and shown["host"] is not None
    return shown
