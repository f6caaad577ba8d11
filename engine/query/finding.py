"""Which engine to ask and with which token, for the command line: given, from the environment, or from a running `up`.

Reads `<data-dir>/up.json` and `<data-dir>/engine-token`; opens nothing else. Any thread.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.query.client import NO_RETRY, QueryClient
from engine.query.results import QueryError

_DATA_DIR = Path(".statehouse")


@dataclass(frozen=True, slots=True)
class Target:
    """The instances of one application and their token."""

    application: str | None
    addresses: list[str]
    token: str = field(repr=False)


def find_target(
    store: str,
    *,
    application: str | None = None,
    addresses: list[str] | None = None,
    token_file: Path | None = None,
    data_dir: Path | None = None,
) -> Target:
    """Find the engine that has `store`; raises LookupError with what to do.

    `addresses` and `token_file` win over the environment (ENGINE_ADDRESS, ENGINE_TOKEN_FILE), which wins over the
    data directory of `manage.py up`.
    """
    data_dir = data_dir or _DATA_DIR
    token = _token(token_file, data_dir)
    addresses = addresses or os.environ.get("ENGINE_ADDRESS", "").split()
    if addresses:
        return Target(application, addresses, token)
    running = _running(data_dir)
    if application is not None:
        if application not in running:
            raise LookupError(
                f"no application {application!r} runs in {data_dir}: it has {', '.join(running) or 'none'}"
            )
        return Target(application, running[application], token)
    if len(running) == 1:
        (only,) = running
        return Target(only, running[only], token)
    having = [name for name, found in running.items() if _has(store, found, token)]
    if len(having) != 1:
        which = f"{', '.join(having)} have" if having else f"none of {', '.join(running) or 'no applications'} has"
        raise LookupError(f"{which} a store {store!r}: name one with --application")
    return Target(having[0], running[having[0]], token)


def _token(given: Path | None, data_dir: Path) -> str:
    from_environment = os.environ.get("ENGINE_TOKEN_FILE")
    path = given or (Path(from_environment) if from_environment else data_dir / "engine-token")
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise LookupError(
            f"the engine's token cannot be read from {path} ({type(error).__name__}): give --token-file, "
            "or --data-dir of a running `manage.py up`"
        ) from error


def _running(data_dir: Path) -> dict[str, list[str]]:
    """Addresses of the engine instances of a running `up`, by application."""
    try:
        described: dict[str, Any] = json.loads((data_dir / "up.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LookupError(
            f"no running `manage.py up` in {data_dir}: start it, give its --data-dir, or give --address and --token-file"
        ) from error
    running: dict[str, list[str]] = {}
    for process in described.get("processes", []):
        if str(process.get("role", "")).startswith("engine") and process.get("application") and process.get("address"):
            address = str(process["address"])
            running.setdefault(process["application"], []).append(address if "://" in address else f"http://{address}")
    return running


def _has(store: str, addresses: list[str], token: str) -> bool:
    with QueryClient(addresses, token, retry=NO_RETRY) as client:
        try:
            return any(each["name"] == store for each in client.described("/v1/stores")["stores"])
        except QueryError:
            return False
