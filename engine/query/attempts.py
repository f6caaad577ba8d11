"""How a client tries: which address next, how long again. Shared by the sync and the async client; any thread."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx

from engine.query.results import QueryError


@dataclass(frozen=True, slots=True)
class Retry:
    """How long a retryable refusal is retried: waits double from `first_ms` to `longest_ms`, until `total_ms` passed."""

    total_ms: int = 10_000
    first_ms: int = 50
    longest_ms: int = 1_000

    def waits(self) -> Iterator[float]:
        """The waits in seconds, with jitter so that many clients do not come back together."""
        deadline = time.monotonic() + self.total_ms / 1_000
        wait_ms: float = self.first_ms
        while (left := deadline - time.monotonic()) > 0:
            yield min(wait_ms / 1_000 * random.uniform(0.5, 1.0), left)  # noqa: S311 (no secret)
            wait_ms = min(wait_ms * 2, self.longest_ms)


NO_RETRY = Retry(total_ms=0)


class Turns:
    """Which address to ask: the one that answered last, the next after one that did not."""

    def __init__(self, addresses: Sequence[str] | str, token: str) -> None:
        self.addresses = [addresses] if isinstance(addresses, str) else list(addresses)
        if not self.addresses:
            raise ValueError("give at least one address, such as 'http://127.0.0.1:8080'")
        self.headers = {"authorization": f"Bearer {token}"}
        self._at = 0

    def __iter__(self) -> Iterator[str]:
        """Each address once."""
        first = self._at
        for step in range(len(self.addresses)):
            self._at = (first + step) % len(self.addresses)
            yield self.addresses[self._at].rstrip("/")

    def unreachable(self, error: Exception | None) -> QueryError:
        """What to raise when none answered."""
        return QueryError(
            "unreachable",
            f"no instance answers at {', '.join(self.addresses)} ({type(error).__name__}): is the engine running?",
            retryable=True,
        )


class Attempts:
    """What both clients are made with."""

    def __init__(
        self, addresses: Sequence[str] | str, token: str, *, retry: Retry | None = None, timeout_seconds: float = 10.0
    ) -> None:
        self._turns = Turns(addresses, token)
        self._retry = retry or Retry()
        self._timeout = httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, 2.0))

    def __repr__(self) -> str:
        """Name the client without its token."""
        return f"<{type(self).__name__} {', '.join(self._turns.addresses)} token=***>"
