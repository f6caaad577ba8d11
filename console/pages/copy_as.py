"""A read as something to paste: curl, Python, and the command line where this installation has the command.

The token is never written out: the text names an environment variable that the reader sets.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from django.core.management import get_commands

from console.browse import translated

if TYPE_CHECKING:
    from django.http import HttpRequest

# The command's own options for a query's parameters, and which of them each of its actions takes.
_OPTIONS = {
    "key_format": "--key-format", "value_format": "--value-format", "limit": "--limit", "partition": "--partition", "reverse": "--reverse",
    "window_from": "--from-ms", "window_to": "--to-ms", "session_from": "--from-ms", "session_to": "--to-ms", "valid_from": "--from-ms", "valid_to": "--to-ms", "where": "--where",
}  # fmt: skip
_FORMATS = {"key_format", "value_format"}


def entries(
    request: HttpRequest, app: str, store: str, params: dict[str, str], kind: str | None
) -> list[dict[str, str]]:
    """Return name and text of each way to repeat a query of a store."""
    path = f"/api/v1/applications/{quote(app)}/stores/{quote(store)}/entries"
    base = f"{request.scheme}://{request.get_host()}"
    wanted = {name: value for name, value in params.items() if name != "cursor"}
    url = f"{base}{path}?{urlencode(wanted)}"
    ways = [
        {"name": "curl", "text": f'curl -H "Authorization: Bearer $STATEHOUSE_TOKEN" {shlex.quote(url)}'},
        {"name": "Python", "text": _python(f"{base}{path}", wanted)},
    ]
    if "store" in get_commands():
        ways.insert(1, {"name": "CLI", "text": _command(app, store, wanted, kind)})
    return ways


def read(request: HttpRequest, path: str, params: dict[str, str], command: str = "") -> list[dict[str, str]]:
    """Return the ways to repeat a read of the API, and the command that shows the same, if there is one."""
    url = f"{request.scheme}://{request.get_host()}{path}"
    whole = f"{url}?{urlencode(params)}" if params else url
    ways = [{"name": "curl", "text": f'curl -H "Authorization: Bearer $STATEHOUSE_TOKEN" {shlex.quote(whole)}'}]
    if command:
        ways.append({"name": "CLI", "text": f"uv run manage.py {command}"})
    ways.append({"name": "Python", "text": _asked(url, params) + "print(answer.raise_for_status().json())\n"})
    return ways


def history(request: HttpRequest, app: str, store: str, params: dict[str, str]) -> list[dict[str, str]]:
    """Return name and text of each way to read a key's history again."""
    url = f"{request.scheme}://{request.get_host()}/api/v1/applications/{quote(app)}/stores/{quote(store)}/history"
    curl = f'curl -H "Authorization: Bearer $STATEHOUSE_TOKEN" {shlex.quote(f"{url}?{urlencode(params)}")}'
    told = (
        'for version in answer.raise_for_status().json()["versions"]:\n    print(version["offset"], version["value"])\n'
    )
    return [{"name": "curl", "text": curl}, {"name": "Python", "text": _asked(url, params) + told}]


def call(
    request: HttpRequest,
    method: str,
    path: str,
    *,
    params: dict[str, str] | None = None,
    body: dict[str, Any] | None = None,
    command: list[str] | None = None,
) -> list[dict[str, str]]:
    """Return name and text of each way to make one call of the API; ``command`` is what ``manage.py`` takes for it."""
    url = f"{request.scheme}://{request.get_host()}{quote(path)}"
    wanted = {name: value for name, value in (params or {}).items() if name != "cursor"}
    words = ["curl", *([] if method == "GET" else ["-X", method]), "-H", "Authorization: Bearer $STATEHOUSE_TOKEN"]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(body, ensure_ascii=False)]
    # In double quotes, so that the shell puts the token in.
    curl = " ".join(f'"{word}"' if "$STATEHOUSE" in word else shlex.quote(word) for word in words)
    asked = f"?{urlencode(wanted)}" if wanted else ""
    ways = [{"name": "curl", "text": f"{curl} {shlex.quote(url + asked)}"}]
    if command is not None:
        ways.append({"name": "CLI", "text": shlex.join(["uv", "run", "manage.py", *command])})
    more = "".join(f"    {name}={value!r},\n" for name, value in (("params", wanted), ("json", body)) if value)
    text = (
        "import os\n\nimport httpx\n\n"
        f"answer = httpx.request(\n    {method!r},\n    {url!r},\n{more}"
        '    headers={"Authorization": "Bearer " + os.environ["STATEHOUSE_TOKEN"]},\n)\n'
        "print(answer.raise_for_status().json())\n"
    )
    return [*ways, {"name": "Python", "text": text}]


def _python(url: str, params: dict[str, str]) -> str:
    return (
        _asked(url, params)
        + 'for entry in answer.raise_for_status().json()["entries"]:\n    print(entry["key"], entry["value"])\n'
    )


def _asked(url: str, params: dict[str, str]) -> str:
    return (
        "import os\n\nimport httpx\n\n"
        f"answer = httpx.get(\n    {url!r},\n    params={params!r},\n"
        '    headers={"Authorization": "Bearer " + os.environ["STATEHOUSE_TOKEN"]},\n)\n'
    )


def _command(app: str, store: str, params: dict[str, str], kind: str | None) -> str:
    """Return the command line: of the engines' own command where that has words for the query, else of the console's."""
    if ("to" in params and "from" not in params) or translated.is_needed(params):
        given = {name: value for name, value in params.items() if name != "reverse"}
        # A value that begins with a dash is a value and not an option.
        options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        reverse = ["--reverse"] if "reverse" in params else []
        return shlex.join(["uv", "run", "manage.py", "entries", app, store, *options, *reverse])
    timed = kind if kind in {"window", "session"} and not {"prefix", "from"} & params.keys() else None
    versions = "versions" if {"valid_from", "valid_to"} & params.keys() else None
    action = (
        versions
        or timed
        or ("prefix" if "prefix" in params else "as-of" if "as_of" in params else "get" if "key" in params else "range")
    )
    taken = _FORMATS if action in {"get", "as-of"} else _OPTIONS.keys()
    words = ["--application", app]
    for name in [name for name in params if name in taken]:
        words += [_OPTIONS[name]] if name == "reverse" else [_OPTIONS[name], params[name]]
    places = [store] + [params[name] for name in ("key", "prefix", "from", "to", "as_of") if name in params]
    # A key that begins with a dash is a key and not an option.
    words += ["--", *places] if any(place.startswith("-") for place in places) else places
    return shlex.join(["uv", "run", "manage.py", "store", action, *words])
