"""Why a query gets no answer: one shape, stable codes, and whether asking again helps (docs/contracts.md, section 2).

Raised anywhere between a route and a store, written by `answers.refused`, read back by the client. Any thread.
"""

from collections.abc import Mapping
from typing import Any

from engine.errors import StatehouseError

# code: (HTTP status, whether the same question can succeed later)
CODES: dict[str, tuple[int, bool]] = {
    "unauthorized": (401, False),
    "not-found": (404, False),
    "bad-request": (400, False),
    "too-large": (413, False),
    "method-not-allowed": (405, False),
    "conflict": (409, False),
    "store-restoring": (503, True),
    "store-moving": (503, True),
    "no-owner": (503, True),
    "too-far-behind": (503, True),
    "internal": (500, False),
}


class Refusal(StatehouseError):
    """A question that is not answered. `state` holds facts for the reader: phase, percent, owner."""

    def __init__(self, code: str, message: str, state: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status, self.retryable = CODES[code]
        self.state = dict(state) if state is not None else None

    def brief(self) -> dict[str, Any]:
        """The form in a page's `sources`."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable}

    def body(self) -> dict[str, Any]:
        """The form of an error answer."""
        return {"error": {**self.brief(), "state": self.state}}


def bad_request(message: str) -> Refusal:
    """A question that cannot be understood; the message says how to ask."""
    return Refusal("bad-request", message)


def not_found(message: str) -> Refusal:
    """A store, task, job or route that does not exist here."""
    return Refusal("not-found", message)


def from_body(body: Any, status: int) -> Refusal:
    """Read another instance's error answer; one that breaks the contract becomes `internal`."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or error.get("code") not in CODES:
        return Refusal("internal", f"the owner answered HTTP {status} without a known error")
    state = error.get("state")
    return Refusal(error["code"], str(error.get("message", ""))[:2_000], state if isinstance(state, dict) else None)
