"""One entry, looked at again and again while somebody has it open: whether it is still what they see.

What is sent to the browser is a digest and never the value: the page is drawn again by the page's own view, so that
there is one rendering, one policy and one mask. Synchronous; called by ``live``.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode

from console import limits
from console.browse import entries
from console.observe.board import reader

# What names one entry (``console.pages.query.address_of``); the rest of a page's query is not about it.
NAMES = (
    "key",
    "partition",
    "window_from",
    "window_to",
    "session_from",
    "session_to",
    "key_format",
    "value_format",
    "as_of",
)
_ADDRESS_CHARACTERS_MAX = 64 * 1024


def address(params: dict[str, str]) -> str:
    """Return the entry's address as the topic carries it."""
    return urlencode({name: params[name] for name in NAMES if params.get(name)})


def read_address(text: str) -> dict[str, str] | None:
    """Return the parameters of an address; None for anything that is not one."""
    if len(text) > _ADDRESS_CHARACTERS_MAX:
        return None
    pairs = parse_qsl(text, keep_blank_values=True)
    params = dict(pairs)
    if len(params) != len(pairs) or set(params) - set(NAMES) or "key" not in params:
        return None
    return params


def digest(found: list[dict[str, Any]]) -> str:
    """Return what differs when any of the entries does."""
    told = json.dumps(found, sort_keys=True, default=str).encode(errors="replace")
    return hashlib.blake2b(told, digest_size=12).hexdigest()


def snapshot(app: str, store: str, params: dict[str, str]) -> dict[str, Any]:
    """Return the entry's digest as it is now, or why it cannot be told."""
    seen: dict[str, Any] = {"at": time.time_ns() // 1_000_000, "digest": None, "problem": None}
    try:
        answer = entries.page(app, store, params | {"limit": str(limits.ENTRY_SPANS_MAX)})
    except entries.Unavailable as error:
        seen["problem"] = error.words
    else:
        seen["digest"] = digest(answer["entries"])
    return seen | {"observer": reader.read().observer}
