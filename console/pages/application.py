"""One application: who runs which task, how its instances are, what it computes, what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.access.policy import requires
from console.observe import snapshot
from console.pages import chooser, drawing, hues, overview, shell, verdicts

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@requires("read-status")
def application(request: HttpRequest, app: str) -> HttpResponse:
    """Draw the application."""
    choice = chooser.read(request.GET)
    seen = shell.found(snapshot.application(app, choice), f"an application {app!r}")
    names = [each["name"] for each in seen["instances"]]
    palette = hues.palette(names + [name for store in seen["stores"] for name in store["strip"]["instances"]])
    topology = seen["topology"]
    tasks = snapshot.rows(seen["tasks"])
    context = {
        "it": seen,
        "level": verdicts.level(seen["verdict"]),
        "word": verdicts.application_word(seen["verdict"]),
        "verdicts": verdicts.lines(seen["problems"])
        + _pressure(seen["instances"])
        + _disagreement(seen["topology_hashes"]),
        "palette": palette,
        "matrix": matrix(tasks, snapshot.rows(seen["matrix"]), seen["instances"], palette),
        "names": names,
        "chosen": chooser.shown(
            request.GET, choice, seen["chosen"], noun="tasks", states=seen["task_states"], anchor="h-tasks"
        ),
        "stores": [overview.store_row(app, store, palette) for store in seen["stores"]],
        "history": [value for _at, value in seen["rates"].get("history") or []],
        "drawing": drawing.layout(topology["description"], app, seen["flow"]) if topology else None,
    }
    return shell.page(
        request, "pages/application.html", seen, context, section="application", topic=f"app:{app}", app=app
    )


def matrix(
    tasks: list[dict[str, Any]], pairs: list[dict[str, Any]], instances: list[dict[str, Any]], palette: dict[str, int]
) -> list[dict[str, Any]]:
    """Return one row a task with one cell an instance: its role and state there, or nothing.

    What an instance that cannot be reached said of its tasks is kept, marked as unreachable.
    """
    at = {(each["task"], each["instance"]): each for each in pairs}
    rows = []
    for task in tasks:
        here = []
        for each in instances:
            name = each["name"]
            pair = at.get((task["task"], name))
            if pair and each["state"] in {"unreachable", "expired"}:
                pair = pair | {"state": "unreachable"}
            here.append(_square(pair, name, palette) if pair else {"name": name})
        rows.append(task | {"squares": here})
    return rows


def _square(pair: dict[str, Any], name: str, palette: dict[str, int]) -> dict[str, Any]:
    """Return how one task looks at one instance: the strip's idiom, with the word beside it."""
    state, role = pair["state"], pair["role"]
    # A standby that has not caught up once cannot take over at no cost: it is warming.
    word = role if state == "running" else "warming" if (role, state) == ("standby", "restoring") else state
    look = {"unreachable": "unreachable", "moving": "moving", "suspended": "moving", "stalled": "stalled"}.get(
        state, "standby" if role == "standby" else ""
    )
    return {
        "name": name,
        "word": word,
        "classes": f"hue-{palette.get(name, 0)} {look}".strip(),
        "title": f"{pair['task']} at {name}: {role}, {state}",
    }


def _pressure(instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a note for each budget that nears its end, with the engine's own advice."""
    return [
        {"level": "warn", "subject": each["name"], "words": f"nears its limit of {limit['what']}: {limit['advice']}"}
        for each in instances
        for limit in each.get("pressure") or []
    ]


def _disagreement(hashes: list[str]) -> list[dict[str, Any]]:
    if len(hashes) < 2:  # noqa: PLR2004 - one is agreement
        return []
    return [
        {
            "level": "bad",
            "words": f"The instances run {len(hashes)} different topologies: deploy one version to all of them.",
        }
    ]
