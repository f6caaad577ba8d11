"""What one check of the self-check found. Pure data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

OK, WARN, BAD, SKIPPED = "ok", "warn", "bad", "skipped"


class Wrong(Exception):
    """Raised by a check: what is wrong, and what to do. ``level`` is ``bad`` or, where things still go on, ``warn``."""

    def __init__(self, words: str, remedy: str, *, level: str = BAD) -> None:
        super().__init__(words)
        self.words, self.remedy, self.level = words, remedy, level


@dataclass(frozen=True, slots=True)
class Finding:
    """``took_ms`` is None for a check that was not made because one before it failed."""

    name: str
    level: str
    words: str
    remedy: str = ""
    took_ms: float | None = None

    def json(self) -> dict[str, Any]:
        """Return it for the API and for templates."""
        return asdict(self)
