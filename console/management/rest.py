"""The console's REST API for `manage.py` commands: where it is, with which token, and its answers or words.

Finds the console of a running `manage.py up` through ``<data-dir>/up.json``; elsewhere STATEHOUSE_URL and
STATEHOUSE_API_TOKEN (or ``--url`` and ``--token-file``) say it. So a command shows what the pages show, to whoever may see it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from django.core.management.base import CommandError

if TYPE_CHECKING:
    from argparse import ArgumentParser

_DATA_DIR = ".statehouse"
_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Api:
    """One console, as the owner of a token sees it."""

    url: str
    token: str = field(repr=False)

    def get(self, path: str, **params: str) -> dict[str, Any]:
        """Return the answer of ``/api/v1/<path>``. Raises ``CommandError`` in the API's own words."""
        return self._answer("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a JSON body."""
        return self._answer("POST", path, json=body or {})

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send what is to change."""
        return self._answer("PATCH", path, json=body)

    def delete(self, path: str) -> dict[str, Any]:
        """Have what is there deleted."""
        return self._answer("DELETE", path)

    def _answer(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            answer = httpx.request(
                method, f"{self.url}/api/v1/{path}", headers=headers, timeout=_TIMEOUT_S, trust_env=False, **what
            )
            found: dict[str, Any] = answer.json()
        except httpx.HTTPError as error:
            raise CommandError(
                f"no console answers at {self.url} ({type(error).__name__}): is it running?", returncode=2
            ) from error
        except ValueError as error:
            raise CommandError(f"{self.url} answers, but not as a Statehouse console: check --url") from error
        if answer.is_success:
            return found
        told = found.get("error", {})
        code, words = str(told.get("code", answer.status_code)), str(told.get("message", ""))
        raise CommandError(f"{code}: {words}", returncode=3 if code == "not-found" else 1)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare what every such command takes."""
    parser.add_argument("--url", help="the console, such as https://console.example.com (default: $STATEHOUSE_URL)")
    parser.add_argument("--token-file", type=Path, help="a file with an API token (default: $STATEHOUSE_API_TOKEN)")
    parser.add_argument("--data-dir", type=Path, help="the data directory of `manage.py up`")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")


def connect(options: dict[str, Any]) -> Api:
    """Return the console that the options, the environment or a running ``up`` name. Raises ``CommandError``."""
    url = options["url"] or os.environ.get("STATEHOUSE_URL")
    token = os.environ.get("STATEHOUSE_API_TOKEN")
    if options["token_file"]:
        try:
            token = options["token_file"].read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(
                f"--token-file {options['token_file']} cannot be read ({type(error).__name__})"
            ) from error
    if url and token:
        return Api(url.rstrip("/"), token)
    data_dir = Path(options["data_dir"] or os.environ.get("STATEHOUSE_DATA_DIR") or _DATA_DIR)
    try:
        running = json.loads((data_dir / "up.json").read_text(encoding="utf-8"))
        return Api(str(url or running["url"]).rstrip("/"), str(token or running["token"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(
            f"no running `manage.py up` in {data_dir}: start it, give its --data-dir, "
            "or say where the console is with --url and --token-file"
        ) from error
