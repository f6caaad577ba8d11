"""Calling an engine's control routes (docs/contracts.md, section 2). Blocking; used by jobs only.

The owner of a partition is looked up at each call: it may have moved or restarted since the last one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from console import limits
from console.browse import engines
from console.jobs.work import Cancelled, Failed, TryAgain
from console.observe import store_shapes
from console.observe.board import reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.jobs.work import Work
    from engine.control.status import InstanceStatus

_POLL_S = 0.3
_NOT_FOUND, _CONFLICT = 404, 409
_ENDED = frozenset({"swapped", "done", "failed", "cancelled"})
# A restarting engine, or one in a rebalance, is back within this time; then the attempt is over.
_AWAY_S = 60.0


class Owner:
    """The instance that has the active copy of one store partition."""

    def __init__(self, application: str, store: str, partition: int) -> None:
        self.application, self.store, self.partition = application, store, partition

    def instance(self) -> InstanceStatus:
        """Return the owner as it is now; raises ``TryAgain`` while nobody has the partition."""
        state = reader.read(fresh=True).applications.get(self.application)
        if state is None:
            raise TryAgain(f"application {self.application} is not reported at the moment")
        copies = store_shapes.all_partitions(state, self.store).get(self.partition, [])
        record = store_shapes.primary(copies, state.unreachable)
        if record is None or record.instance in state.unreachable or record.instance not in state.instances:
            raise TryAgain(f"partition {self.partition} of {self.store} has no owner at the moment")
        return state.instances[record.instance]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call the owner. Raises ``TryAgain`` when it is away, ``Refusal`` for its refusals."""
        try:
            token = engines.token()
        except engines.NoToken as error:
            raise Failed(str(error)) from error
        address = self.instance().address
        if address is None:
            raise Failed(f"The owner of partition {self.partition} has no query service. Start it with --listen.")
        try:
            answer = httpx.request(
                method,
                f"{address}{path}",
                json=body,
                headers={"authorization": f"Bearer {token}"},
                timeout=limits.ENGINE_TIMEOUT_S,
                trust_env=False,
            )
            content = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise TryAgain(f"the engine at {address} does not answer ({type(error).__name__})") from error
        if answer.is_success:
            return dict(content)
        said = content.get("error", {}) if isinstance(content, dict) else {}
        code, words = str(said.get("code", "internal")), str(said.get("message", "no reason was given"))
        raise Refusal(answer.status_code, code, words)

    def route(self, what: str, job: str | None = None, *more: str) -> str:
        """Return the path of a control route of this partition."""
        parts = [
            "/v1/control/stores",
            quote(self.store, safe=""),
            "partitions",
            str(self.partition),
            what,
            *([job] if job else []),
            *more,
        ]
        return "/".join(parts)


class Refusal(Exception):
    """The engine said no."""

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(words)
        self.status, self.code, self.words = status, code, words


def carry_through(
    work: Work,
    owner: Owner,
    what: str,
    body: dict[str, Any],
    *,
    done: str,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Order something of the engine and follow it to its end; return its last words.

    Idempotent by ``body["job"]``: ordering twice is ordering once, and after a restart of the engine it is ordered anew.
    Raises ``Cancelled`` once the engine has given it up or is known not to have it, ``Failed`` with the engine's reason.
    After ``Failed`` the order may go on in the engine: ``end`` it before anything is removed that it works on.
    """
    following = _Following(owner, what, body)
    began = time.monotonic()
    asked_to_cancel = False
    while True:
        is_cancelled = work.is_cancelled()
        if not is_cancelled:
            work.check()
        elif not following.was_sent:
            raise Cancelled
        elif not asked_to_cancel:
            work.check_lease()
            asked_to_cancel = _cancel(owner, what, following.job)
        answer = following.step(is_cancelled=is_cancelled)
        if answer is not None:
            if progress is not None:
                progress(answer)
            if _is_done(answer, owner, what, done, is_cancelled=is_cancelled):
                return answer
        if what == "swap" and time.monotonic() - began > limits.SWAP_SECONDS_MAX:
            minutes = limits.SWAP_SECONDS_MAX // 60
            raise Failed(f"The swap of partition {owner.partition} did not happen within {minutes} minutes.")
        time.sleep(_POLL_S)


def end(owner: Owner, what: str, job: str, check: Callable[[], None]) -> str | None:
    """Give an order up and wait until the engine has ended it; return its last phase, None when the engine knows no such order.

    ``check`` is called at each turn, and what it raises comes out. Raises ``TryAgain`` while the engine does not answer,
    or does not end it within a minute: by then it may do what was ordered, so leave what it works on.
    """
    began = time.monotonic()
    asked, why = False, "it goes on"
    while True:
        check()
        try:
            phase = owner.call("GET", owner.route(what, job)).get("phase")
            if phase in _ENDED:
                return str(phase)
            if not asked:
                owner.call("POST", owner.route(what, job, "cancel"))
                asked = True
        except Refusal as error:
            if error.status == _NOT_FOUND:
                return None
            # Also that it has ended meanwhile: the next answer says how.
            why = error.words
        except (TryAgain, Failed) as error:
            why = str(error)
        if time.monotonic() - began > _AWAY_S:
            raise TryAgain(f"the {what} of partition {owner.partition} could not be ended in the engine: {why}")
        time.sleep(_POLL_S)


class _Following:
    """One order: placed until the engine has taken it, then asked about; placed anew when a restarted engine forgot it."""

    def __init__(self, owner: Owner, what: str, body: dict[str, Any]) -> None:
        self.job = str(body["job"])
        self.is_ordered = False
        # From then on the engine may have it, whatever became of its answer.
        self.was_sent = False
        self._owner, self._what, self._body = owner, what, body
        self._away_since: float | None = None

    def step(self, *, is_cancelled: bool) -> dict[str, Any] | None:
        """Return the engine's words, or None while it is away (``TryAgain`` when that lasts).

        One that is cancelled is not placed (again): ``Cancelled`` when the engine does not have it.
        """
        owner = self._owner
        try:
            if self.is_ordered or is_cancelled:
                answer = owner.call("GET", owner.route(self._what, self.job))
            else:
                self.was_sent = True
                answer = owner.call("POST", owner.route(self._what), self._body)
        except TryAgain:
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() - self._away_since > _AWAY_S:
                raise
            return None
        except Refusal as error:
            # A 404 to a question means that the engine restarted; a 404 to the order itself is final.
            if error.status == _NOT_FOUND and is_cancelled:
                raise Cancelled from error
            if error.status == _NOT_FOUND and self.is_ordered:
                self.is_ordered = False
                return None
            raise Failed(
                f"The engine refused the {self._what} of partition {owner.partition}: {error.words}"
            ) from error
        self.is_ordered, self._away_since = True, None
        return answer


def _is_done(answer: dict[str, Any], owner: Owner, what: str, done: str, *, is_cancelled: bool) -> bool:
    phase = answer.get("phase")
    if phase == "cancelled":
        if is_cancelled:
            raise Cancelled
        # By an earlier attempt that gave the job up and died: this one's row is not to be cancelled.
        raise Failed(f"The {what} of partition {owner.partition} had been given up in the engine. Start the job again.")
    if phase == "failed":
        reason = answer.get("error") or "no reason was given"
        raise Failed(f"The {what} of partition {owner.partition} failed in the engine: {reason}")
    return phase == done


def _cancel(owner: Owner, what: str, job: str) -> bool:
    """Ask the engine to give it up; its next answer says whether it did or was too late."""
    try:
        owner.call("POST", owner.route(what, job, "cancel"))
    except Refusal as error:
        if error.status not in {_NOT_FOUND, _CONFLICT}:
            raise Failed(f"The engine did not let the {what} be cancelled: {error.words}") from error
    except TryAgain:
        return False
    return True
