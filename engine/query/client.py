"""The clients of the query service, sync and async: typed answers, cursors followed, retryable refusals retried.

For applications, the command line and the console; httpx only, no Kafka. One client may be used by many threads
(sync) or tasks (async). Any instance answers for any key, so the addresses are tried in turn when one is unreachable.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from engine.query import questions
from engine.query.attempts import NO_RETRY, Attempts, Retry
from engine.query.questions import Call
from engine.query.results import Counted, Entry, Largest, Owner, Page, QueryError

__all__ = ["NO_RETRY", "AsyncQueryClient", "QueryClient", "Retry"]
T = TypeVar("T")


class QueryClient(Attempts):
    """Asks from threads. `token` is the engine's token; close the client, or use it in a `with` statement.

    `get` and `multi_get` take a key in its JSON form. Elsewhere a text is taken as the store's serde reads text: on a store
    with JSON keys "42" is the number there and '"42"' the text.

    Every method raises QueryError: `retryable` ones only after retrying for `retry.total_ms`.
    """

    def __init__(
        self, addresses: Sequence[str] | str, token: str, *, retry: Retry | None = None, timeout_seconds: float = 10.0
    ) -> None:
        super().__init__(addresses, token, retry=retry, timeout_seconds=timeout_seconds)
        self._http = httpx.Client(headers=self._turns.headers, timeout=self._timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """Ask, retrying what is retryable."""
        waits = self._retry.waits()
        while True:
            try:
                return self._once(call)
            except QueryError as error:
                wait = next(waits, None) if error.retryable else None
                if wait is None:
                    raise
                time.sleep(wait)

    def get(self, store: str, key: Any, **options: Any) -> Entry | None:
        """The entry of `key` (JSON form; bytes as bytes), or None. Options: max_lag, key_format, value_format, local."""
        return self.send(questions.get(store, key, **options))

    def multi_get(self, store: str, keys: Sequence[Any], **options: Any) -> Page:
        """One entry a key, in the order of the keys; see `Entry.found`."""
        return self.send(questions.multi_get(store, keys, **options))

    def range(self, store: str, from_key: Any = None, to_key: Any = None, **options: Any) -> Page:
        """A page of keys from `from_key` to `to_key`, both inclusive. Options: where, reverse, limit, cursor, partition."""
        return self.send(questions.between(store, from_key, to_key, **options))

    def prefix(self, store: str, prefix: str, **options: Any) -> Page:
        """A page of keys whose serialised form begins with `prefix`."""
        return self.send(questions.entries(store, prefix=prefix, **options))

    def all(self, store: str, **options: Any) -> Page:
        """A page of everything."""
        return self.send(questions.entries(store, **options))

    def window(
        self, store: str, key: Any = None, from_ms: int | None = None, to_ms: int | None = None, **options: Any
    ) -> Page:
        """A page of windows that start from `from_ms` to `to_ms`, both inclusive, of one key or of all."""
        return self.send(questions.windows(store, key, from_ms, to_ms, **options))

    def session(
        self, store: str, key: Any = None, from_ms: int | None = None, to_ms: int | None = None, **options: Any
    ) -> Page:
        """A page of sessions that overlap `from_ms` to `to_ms`, of one key or of all."""
        return self.send(questions.sessions(store, key, from_ms, to_ms, **options))

    def as_of(self, store: str, key: Any, timestamp_ms: int, **options: Any) -> Entry | None:
        """The version of `key` that was valid at `timestamp_ms`, or None."""
        return self.send(questions.as_of(store, key, timestamp_ms, **options))

    def versions(
        self, store: str, key: Any, from_ms: int | None = None, to_ms: int | None = None, **options: Any
    ) -> Page:
        """A page of the versions of `key` that were valid at some time from `from_ms` to `to_ms`, newest first."""
        return self.send(questions.versions(store, key, from_ms, to_ms, **options))

    def largest(self, store: str, **options: Any) -> Largest:
        """The largest entries, as far as a bounded look goes. Options: limit, partition, max_lag."""
        return self.send(questions.largest(store, **options))

    def rocksdb(self, store: str, **options: Any) -> dict[str, Any]:
        """How copies lie on disk, as `/v1/stores/{store}/rocksdb` answers. Options: partition, or from and limit; max_lag."""
        return self.send(questions.rocksdb(store, **options))

    def count(self, store: str, **options: Any) -> Counted:
        """About how many keys."""
        return self.send(questions.count(store, **options))

    def owner(self, store: str, key: Any = None, **options: Any) -> Owner:
        """Who has `key` (or `partition=`)."""
        return self.send(questions.owner(store, key, **options))

    def described(self, path: str) -> dict[str, Any]:
        """A describing route's answer, such as `/v1/stores`."""
        return self.send(questions.described(path))

    def pages(self, call: Call[Page]) -> Iterator[Page]:
        """Follow the cursor of a question made with `engine.query.questions`."""
        following: Call[Page] | None = call
        while following is not None:
            page = self.send(following)
            yield page
            following = call.continued(page.cursor) if page.cursor is not None else None

    def iterate(self, store: str, *, skip_failures: bool = False, **parameters: Any) -> Iterator[Entry]:
        """Every entry that `parameters` mean, page after page.

        A page in which a partition did not answer is retried as a refusal is, and its QueryError raised in the end;
        `skip_failures` goes on without that partition.
        """
        call = questions.entries(store, **parameters)
        for page in self.pages(call if skip_failures else questions.whole(call)):
            yield from page.entries

    def _once(self, call: Call[T]) -> T:
        failure: Exception | None = None
        for address in self._turns:
            try:
                reply = self._http.request(
                    call.method, f"{address}{call.path}", params=call.parameters, content=call.body
                )
            except (httpx.TransportError, httpx.InvalidURL) as error:
                failure = error
                continue
            return call.answer(reply.status_code, reply.content)
        raise self._turns.unreachable(failure) from failure


class AsyncQueryClient(Attempts):
    """Asks from an event loop; otherwise the same as QueryClient, method for method."""

    def __init__(
        self, addresses: Sequence[str] | str, token: str, *, retry: Retry | None = None, timeout_seconds: float = 10.0
    ) -> None:
        super().__init__(addresses, token, retry=retry, timeout_seconds=timeout_seconds)
        self._http = httpx.AsyncClient(headers=self._turns.headers, timeout=self._timeout, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Ask, retrying what is retryable."""
        waits = self._retry.waits()
        while True:
            try:
                return await self._once(call)
            except QueryError as error:
                wait = next(waits, None) if error.retryable else None
                if wait is None:
                    raise
                await asyncio.sleep(wait)

    async def get(self, store: str, key: Any, **options: Any) -> Entry | None:
        """See QueryClient."""
        return await self.send(questions.get(store, key, **options))

    async def multi_get(self, store: str, keys: Sequence[Any], **options: Any) -> Page:
        """See QueryClient."""
        return await self.send(questions.multi_get(store, keys, **options))

    async def range(self, store: str, from_key: Any = None, to_key: Any = None, **options: Any) -> Page:
        """See QueryClient."""
        return await self.send(questions.between(store, from_key, to_key, **options))

    async def prefix(self, store: str, prefix: str, **options: Any) -> Page:
        """See QueryClient."""
        return await self.send(questions.entries(store, prefix=prefix, **options))

    async def all(self, store: str, **options: Any) -> Page:
        """See QueryClient."""
        return await self.send(questions.entries(store, **options))

    async def window(
        self, store: str, key: Any = None, from_ms: int | None = None, to_ms: int | None = None, **options: Any
    ) -> Page:
        """See QueryClient."""
        return await self.send(questions.windows(store, key, from_ms, to_ms, **options))

    async def session(
        self, store: str, key: Any = None, from_ms: int | None = None, to_ms: int | None = None, **options: Any
    ) -> Page:
        """See QueryClient."""
        return await self.send(questions.sessions(store, key, from_ms, to_ms, **options))

    async def as_of(self, store: str, key: Any, timestamp_ms: int, **options: Any) -> Entry | None:
        """See QueryClient."""
        return await self.send(questions.as_of(store, key, timestamp_ms, **options))

    async def versions(
        self, store: str, key: Any, from_ms: int | None = None, to_ms: int | None = None, **options: Any
    ) -> Page:
        """See QueryClient."""
        return await self.send(questions.versions(store, key, from_ms, to_ms, **options))

    async def largest(self, store: str, **options: Any) -> Largest:
        """See QueryClient."""
        return await self.send(questions.largest(store, **options))

    async def rocksdb(self, store: str, **options: Any) -> dict[str, Any]:
        """See QueryClient."""
        return await self.send(questions.rocksdb(store, **options))

    async def count(self, store: str, **options: Any) -> Counted:
        """See QueryClient."""
        return await self.send(questions.count(store, **options))

    async def owner(self, store: str, key: Any = None, **options: Any) -> Owner:
        """See QueryClient."""
        return await self.send(questions.owner(store, key, **options))

    async def described(self, path: str) -> dict[str, Any]:
        """See QueryClient."""
        return await self.send(questions.described(path))

    async def pages(self, call: Call[Page]) -> AsyncIterator[Page]:
        """See QueryClient."""
        following: Call[Page] | None = call
        while following is not None:
            page = await self.send(following)
            yield page
            following = call.continued(page.cursor) if page.cursor is not None else None

    async def iterate(self, store: str, *, skip_failures: bool = False, **parameters: Any) -> AsyncIterator[Entry]:
        """See QueryClient."""
        call = questions.entries(store, **parameters)
        async for page in self.pages(call if skip_failures else questions.whole(call)):
            for entry in page.entries:
                yield entry

    async def _once(self, call: Call[T]) -> T:
        failure: Exception | None = None
        for address in self._turns:
            try:
                reply = await self._http.request(
                    call.method, f"{address}{call.path}", params=call.parameters, content=call.body
                )
            except (httpx.TransportError, httpx.InvalidURL) as error:
                failure = error
                continue
            return call.answer(reply.status_code, reply.content)
        raise self._turns.unreachable(failure) from failure
