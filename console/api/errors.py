"""The API's one error shape, and its stable codes: the same words as the engine's own service (docs/contracts.md)."""

from __future__ import annotations

from typing import Any

from django.http import JsonResponse

# code -> (HTTP status, whether the same request may succeed later)
CODES: dict[str, tuple[int, bool]] = {
    "bad-request": (400, False),
    "unauthorized": (401, False),
    "forbidden": (403, False),
    "csrf": (403, False),
    "not-found": (404, False),
    "method-not-allowed": (405, False),
    "conflict": (409, False),
    "cannot-run": (409, True),
    "too-large": (413, False),
    "internal": (500, False),
}


class ApiError(Exception):
    """An answer that is an error. Raise it anywhere below ``dispatch``."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        retryable: bool | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        known_status, known_retryable = CODES.get(code, (503, True))
        self.code, self.message, self.state = code, message, state
        self.status = known_status if status is None else status
        self.retryable = known_retryable if retryable is None else retryable

    def response(self) -> JsonResponse:
        """Return the HTTP answer."""
        body = {"error": {"code": self.code, "message": self.message, "retryable": self.retryable, "state": self.state}}
        answer = JsonResponse(body, status=self.status)
        if self.code == "unauthorized":
            answer.headers["WWW-Authenticate"] = 'Bearer realm="statehouse"'
        return answer
