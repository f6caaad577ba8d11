"""Pages across partitions: which partitions a question means, asked in order, their failures shown beside the rows.

Used on the service's event loop. Order is by partition, then the store's own (both backwards when reversed); one
partition is asked first and more at a time only while the page is not full, since most pages end in their first.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from engine.query import cursor as cursors
from engine.query import reader
from engine.query.cursor import Cursor
from engine.query.forwarding import Forwarder
from engine.query.limits import FAN_OUT_MAX, FILTER_ROWS_MAX, FILTER_SECONDS_MAX, PAGE_BYTES_MAX
from engine.query.metadata import Member
from engine.query.params import Question
from engine.query.ports import Instance, StoreHandle
from engine.query.reader import Part
from engine.query.refusal import Refusal
from engine.query.routing import Ask, Router

T = TypeVar("T")


class Pages:
    """Answers `entries` questions from copies here and elsewhere."""

    def __init__(self, instance: Instance, router: Router, forwarder: Forwarder, threads: ThreadPoolExecutor) -> None:
        self._instance = instance
        self._router = router
        self._forwarder = forwarder
        self._threads = threads

    async def answer(self, question: Question) -> dict[str, Any]:
        """Return a page; raises a Refusal when every partition that it needed refused."""
        partitions = self._partitions(question)
        entries: list[dict[str, Any]] = []
        sources: list[dict[str, Any]] = []
        refusals: list[Refusal] = []
        next_cursor: Cursor | None = None
        size, width, done, scanned = 0, 1, 0, 0
        until = time.monotonic() + FILTER_SECONDS_MAX
        while done < len(partitions) and next_cursor is None:
            group = partitions[done : done + width]
            room = question.limit - len(entries)
            if len(group) == 1:
                # Most questions: a gather would make a task of it, which costs a third of a point read.
                parts = [await self._part(question, group[0], room)]
            else:
                parts = await asyncio.gather(*(self._part(question, each, room) for each in group))
            for partition, part in zip(group, parts, strict=True):
                room = question.limit - len(entries)
                looked_enough = scanned >= FILTER_ROWS_MAX or time.monotonic() > until
                if room <= 0 or size >= PAGE_BYTES_MAX or (question.where is not None and done and looked_enough):
                    next_cursor = Cursor(partition, None)
                    break
                if isinstance(part, Refusal):
                    refusals.append(part)
                    sources.append(refused_source(partition, part))
                    done += 1
                    continue
                if len(part.entries) > room:
                    # Asked beside its predecessors, which have filled the page further: ask again for what fits.
                    refilled = await self._part(question, partition, room)
                    if isinstance(refilled, Refusal):
                        next_cursor = Cursor(partition, None)
                        break
                    part = refilled  # noqa: PLW2901
                entries += part.entries
                size += part.size
                scanned += part.scanned
                sources.append(part.source)
                done += 1
                if part.cursor is not None:
                    next_cursor = part.cursor
                    break
            # A filter looks at many rows to find few: one partition at a time keeps what it looks at within its bound.
            width = 1 if question.where is not None else min(width * 2, FAN_OUT_MAX)
        if refusals and len(refusals) == len(sources):
            raise _all_refused(refusals, sources)
        written = cursors.write(next_cursor, question.digest) if next_cursor is not None else None
        answer = {"entries": entries, "cursor": written, "sources": sources}
        return answer if question.where is None else {**answer, "scanned": scanned}

    def _partitions(self, question: Question) -> list[int]:
        """The partitions left to ask, in the order of the answer."""
        if question.partition is not None:
            partitions = [self._router.check_partition(question.store, question.partition)]
        elif question.exact is not None:
            partitions = [self._router.partition_of(question.store, question.exact)]
        elif question.local:
            partitions = self._router.held_here(question.store)
        else:
            partitions = list(range(self._router.partition_count(question.store)))
        if question.reverse:
            partitions.reverse()
        if question.cursor is None:
            return partitions
        at = question.cursor.partition
        return [each for each in partitions if (each <= at if question.reverse else each >= at)]

    async def _part(self, question: Question, partition: int, room: int) -> Part | Refusal:
        cursor = question.cursor
        if cursor is not None and cursor.partition != partition:
            cursor = None

        async def read_here(handle: StoreHandle) -> Part:
            after = cursor.after if cursor is not None else None
            if question.is_point:
                return reader.page(self._instance.instance_id, handle, question, room, after)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._threads, reader.page, self._instance.instance_id, handle, question, room, after
            )

        async def ask_there(member: Member) -> Part:
            path = f"/v1/stores/{question.store}/entries"
            parameters = question.forwarded(partition, room, cursor)
            return part_of(await self._forwarder.ask(member, path, parameters), question)

        ask = Ask(question.store, partition, read_here, ask_there, max_lag=question.max_lag, local=question.local)
        try:
            return await self._router.answer(ask)
        except Refusal as refusal:
            return refusal


def part_of(answer: dict[str, Any], question: Question | None = None) -> Part:
    """Read an owner's answer as one partition's part."""
    entries, sources = answer.get("entries"), answer.get("sources")
    if not isinstance(entries, list) or not isinstance(sources, list) or len(sources) != 1:
        raise Refusal("internal", "the owner's answer is not a page: run the same version on all instances")
    text = answer.get("cursor")
    cursor = cursors.read(text, question.digest) if text is not None and question is not None else None
    return Part(entries, sources[0], cursor, int(answer.get("scanned") or 0))


def refused_source(partition: int, refusal: Refusal) -> dict[str, Any]:
    """The line of `sources` for a partition that did not answer: its failure, and nothing that was not measured."""
    instance = (refusal.state or {}).get("instance")
    return {
        "instance": instance,
        "partition": partition,
        "role": None,
        "position": None,
        "lag": None,
        "error": refusal.brief(),
    }


def _all_refused(refusals: list[Refusal], sources: list[dict[str, Any]]) -> Refusal:
    """One refusal for a page without any answer; a retryable one only if asking again can help every partition."""
    worst = next((each for each in refusals if not each.retryable), refusals[0])
    return Refusal(worst.code, worst.message, {**(worst.state or {}), "sources": sources})


async def bounded_gather(calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """Run calls, at most FAN_OUT_MAX at once; results in the order of the calls."""
    turns = asyncio.Semaphore(FAN_OUT_MAX)

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        async with turns:
            return await call()

    return await asyncio.gather(*(one(call) for call in calls))
