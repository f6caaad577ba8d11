"""A live store partition read whole for a comparison: page by page through its owner's query service, as raw bytes.

Waits for an owner that restarts or moves; then the attempt is over, and another one may succeed. One thread.
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from console import limits
from console.jobs import control
from console.jobs.work import Failed, TryAgain
from engine.stores.contract import CommittedRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.jobs.comparison import Row, Shape
    from console.jobs.work import Work

# An engine that restarts, or a rebalance, is over within this time; then the attempt is.
_AWAY_S = 60.0
_RETRY_S = 0.5
_UNAVAILABLE = 503


class LiveRows:
    """The live store's rows as its owner serves them: committed, raw, this partition only."""

    def __init__(self, work: Work, owner: control.Owner, shape: Shape) -> None:
        self._work, self._owner, self._shape = work, owner, shape
        self.first_position: int | None = None
        self.last_position: int | None = None

    def rows(self) -> Iterator[Row]:
        """Yield them in the store's order."""
        parameters = {
            "partition": str(self._owner.partition),
            "local": "true",
            "key_format": "base64",
            "value_format": "base64",
            "limit": str(limits.VERIFY_PAGE_ROWS),
        }
        while True:
            answer = self._page(parameters)
            position = answer["sources"][0]["position"]
            if self.first_position is None:
                self.first_position = position
            self.last_position = position
            for entry in answer["entries"]:
                yield self._shape.place(_row(entry))
            if answer["cursor"] is None:
                return
            parameters["cursor"] = answer["cursor"]

    def _page(self, parameters: dict[str, str]) -> dict[str, Any]:
        path = f"/v1/stores/{quote(self._owner.store, safe='')}/entries?{urlencode(parameters)}"
        began = time.monotonic()
        while True:
            self._work.check()
            try:
                answer = self._owner.call("GET", path)
                error = answer["sources"][0]["error"] if answer["sources"] else {"message": "nobody answered"}
                if error is None:
                    return answer
                why = str(error["message"])
            except TryAgain as away:
                why = str(away)
            except control.Refusal as refused:
                if refused.status != _UNAVAILABLE:
                    raise Failed(f"The engine does not let the store be read: {refused.words}") from refused
                why = refused.words
            if time.monotonic() - began > _AWAY_S:
                raise TryAgain(f"partition {self._owner.partition} could not be read: {why}")
            time.sleep(_RETRY_S)


def _row(entry: dict[str, Any]) -> CommittedRow:
    bounds = entry.get("window") or entry.get("session") or {}
    return CommittedRow(
        base64.b64decode(entry["key"]["base64"]),
        base64.b64decode(entry["value"]["base64"]),
        entry.get("timestamp"),
        bounds.get("start"),
        bounds.get("end"),
    )
