"""One page of a store, asked of any instance that can be reached: it routes to the owners and names who failed.

The answer is the engine's own (docs/contracts.md, section 2), with ``served_by``. Blocking; called by views and the API.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from console import limits
from console.browse import engines, translated
from console.observe import store_shapes
from console.observe.board import reader
from engine.errors import ConfigError
from engine.names import check_name
from engine.query import questions
from engine.query.client import NO_RETRY, QueryClient
from engine.query.refusal import Refusal
from engine.query.results import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.control.status import InstanceStatus

PARAMETERS = frozenset(
    {
        "key", "prefix", "from", "to", "window_from", "window_to", "session_from", "session_to", "as_of", "valid_from", "valid_to", "where", "reverse", "limit",
        "cursor", "partition", "max_lag", "key_format", "value_format",
    }
)  # fmt: skip
_CLIENTS_MAX = 64


class Unavailable(Exception):
    """No answer. ``code`` is one of the engine's, ``not-found`` or ``no-token``; ``status`` is HTTP's."""

    def __init__(
        self, code: str, words: str, *, status: int = 503, retryable: bool = True, state: dict[str, Any] | None = None
    ) -> None:
        super().__init__(words)
        self.code, self.words, self.status, self.retryable, self.state = code, words, status, retryable, state


class Clients:
    """One client an address, so that connections are kept. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], QueryClient] = {}

    def of(self, address: str, token: str) -> QueryClient:
        """Return the client of an address."""
        with self._lock:
            found = self._clients.pop((address, token), None)
            if found is None:
                found = QueryClient(address, token, retry=NO_RETRY, timeout_seconds=limits.ENGINE_TIMEOUT_S)
            self._clients[(address, token)] = found
            if len(self._clients) > _CLIENTS_MAX:
                self._clients.pop(next(iter(self._clients))).close()
            return found


_clients = Clients()


def page(app: str, store: str, params: dict[str, str]) -> dict[str, Any]:
    """Return one page. Raises ``Unavailable`` when nobody can answer or the question is refused."""
    unknown = sorted(set(params) - PARAMETERS)
    if unknown:
        raise Unavailable(
            "bad-request",
            f"Unknown parameter {unknown[0]!r}. Use: {', '.join(sorted(PARAMETERS))}.",
            status=400,
            retryable=False,
        )
    return decoded(app, store, params, lambda given: ask(app, store, questions.entries(store, **given)))


def decoded(
    app: str, store: str, params: dict[str, str], question: Callable[[dict[str, str]], dict[str, Any]]
) -> dict[str, Any]:
    """Ask, and read here what the reader wants in a format that only the console has. Raises ``Unavailable``."""
    if not translated.is_needed(params):
        return question(params)
    try:
        return translated.page(params, question, _changelog(app, store))
    except Refusal as error:
        raise Unavailable(error.code, error.message, status=error.status, retryable=False, state=error.state) from error


def several(app: str, store: str, entries: list[dict[str, Any]], formats: dict[str, str]) -> dict[str, Any]:
    """Return the present of each of the ``entries``, in order, ``found`` false or (not known) None."""
    keys = [{"base64": each["key_bytes"]} if "key_bytes" in each else each["key"] for each in entries]
    return decoded(app, store, formats, lambda given: ask(app, store, questions.multi_get(store, keys, **given)))


def _changelog(app: str, store: str) -> str | None:
    state = reader.read().applications.get(app)
    described = store_shapes.description(state, store) if state is not None else None
    return (described or {}).get("changelog")


def count(app: str, store: str) -> dict[str, Any]:
    """Return about how many keys there are."""
    return ask(app, store, questions.count(store))


def largest(app: str, store: str, params: dict[str, str]) -> dict[str, Any]:
    """Return the largest entries, as far as a bounded look goes. Raises ``Unavailable``."""
    return ask(app, store, questions.largest(store, **params))


def ask(app: str, store: str, call: questions.Call[Any]) -> dict[str, Any]:
    """Ask one instance after the other until one answers."""
    for name, what in ((app, "application"), (store, "store")):
        try:
            check_name(name, what)
        except ConfigError as error:
            raise Unavailable("not-found", str(error), status=404, retryable=False) from error
    try:
        token = engines.token()
    except engines.NoToken as error:
        raise Unavailable("no-token", str(error), retryable=False) from error
    instances = engines.reachable(app)
    if not instances:
        raise Unavailable(
            "no-owner",
            f"No instance of {app} can be reached. Start one, or wait until it reports.",
            state={"sources": []},
        )
    plain: questions.Call[dict[str, Any]] = questions.Call(call.path, call.parameters, dict, call.body)
    failed = []
    for instance in instances:
        try:
            answer = _clients.of(str(instance.address), token).send(plain)
        except QueryError as error:
            if error.code not in {"unreachable", "internal"}:
                raise _refused(error) from error
            failed.append(_source(instance, error))
            continue
        answer["served_by"] = {"instance": instance.instance, "address": instance.address}
        answer["sources"] = [*answer.get("sources", []), *failed]
        return answer
    words = "; ".join(f"{each['instance']}: {each['error']['message']}" for each in failed)
    raise Unavailable("unreachable", f"No instance of {app} answered: {words}", state={"sources": failed})


def ask_one(instance: InstanceStatus, call: questions.Call[dict[str, Any]]) -> dict[str, Any]:
    """Ask this instance and no other: for what only it has."""
    try:
        answer = _clients.of(str(instance.address), engines.token()).send(call)
    except engines.NoToken as error:
        raise Unavailable("no-token", str(error), retryable=False) from error
    except QueryError as error:
        if error.code in {"unreachable", "internal"}:
            words = f"{instance.instance} did not answer: {error.message}"
            raise Unavailable(error.code, words, state={"sources": [_source(instance, error)]}) from error
        raise _refused(error) from error
    answer["served_by"] = {"instance": instance.instance, "address": instance.address}
    return answer


def _source(instance: InstanceStatus, error: QueryError) -> dict[str, Any]:
    shown = {"code": error.code, "message": error.message, "retryable": error.retryable}
    return {
        "instance": instance.instance,
        "partition": None,
        "role": None,
        "position": None,
        "lag": None,
        "error": shown,
    }


def _refused(error: QueryError) -> Unavailable:
    if error.code == "unauthorized":
        words = (
            "The engine refused the console's token. Give both the same token file (ENGINE_TOKEN_FILE, --token-file)."
        )
        return Unavailable("engine-unauthorized", words, status=502, retryable=False)
    status = error.status or 503
    return Unavailable(error.code, error.message, status=status, retryable=error.retryable, state=error.state)
