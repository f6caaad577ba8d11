"""A read as something to paste: curl, Python, and the command line where this installation has the command.

The token is never written out: the text names an environment variable that the reader sets.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from django.core.management import get_commands

if TYPE_CHECKING:
    from django.http import HttpRequest

_COMMANDS = {
    "key": "get",
    "prefix": "prefix",
    "range": "range",
    "window": "window",
    "session": "session",
    "as-of": "as-of",
}


def entries(request: HttpRequest, app: str, store: str, params: dict[str, str], by: str) -> list[dict[str, str]]:
    """Return name and text of each way to repeat a query of a store."""
    path = f"/api/v1/applications/{quote(app)}/stores/{quote(store)}/entries"
    base = f"{request.scheme}://{request.get_host()}"
    wanted = {name: value for name, value in params.items() if name != "cursor"}
    url = f"{base}{path}?{urlencode(wanted)}"
    ways = [
        {"name": "curl", "text": f'curl -H "Authorization: Bearer $STATEHOUSE_TOKEN" {shlex.quote(url)}'},
        {"name": "Python", "text": _python(f"{base}{path}", wanted)},
    ]
    if "store" in get_commands() and by in _COMMANDS:
        ways.insert(1, {"name": "CLI", "text": _command(app, store, wanted, by)})
    return ways


def _python(url: str, params: dict[str, str]) -> str:
    return (
        "import os\n\nimport httpx\n\n"
        f"answer = httpx.get(\n    {url!r},\n    params={params!r},\n"
        '    headers={"Authorization": "Bearer " + os.environ["STATEHOUSE_TOKEN"]},\n)\n'
        'for entry in answer.raise_for_status().json()["entries"]:\n    print(entry["key"], entry["value"])\n'
    )


def _command(app: str, store: str, params: dict[str, str], by: str) -> str:
    words = ["uv", "run", "manage.py", "store", _COMMANDS[by], app, store]
    words += [value for name, value in params.items() if name in {"key", "prefix"}]
    words += [
        word
        for name, value in params.items()
        if name not in {"key", "prefix"}
        for word in (f"--{name.replace('_', '-')}", value)
    ]
    return " ".join(shlex.quote(word) for word in words)
