"""Who answers for a store partition: this instance, its owner, or a standby when the reader allows one.

Used on the service's event loop. The order is fixed: the active copy here, the active copy elsewhere, then, only with
`max_lag`, copies that are behind by no more than that. Whatever remains is a retryable refusal that names the state;
never an empty answer.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.errors import InvalidBounds, StoreError, StoreNotReady, TaskCorrupted, UnsupportedOperation
from engine.partitioning import partition_for
from engine.query.metadata import Member, Metadata, Replica
from engine.query.ports import Instance, StoreHandle
from engine.query.refusal import Refusal, bad_request
from engine.serdes.windowed import placing_bytes

Answer = TypeVar("Answer")
# What an owner says when the copy cannot serve: another copy may.
_TRY_ANOTHER = frozenset({"store-restoring", "store-moving", "no-owner", "too-far-behind"})


@dataclass(frozen=True, slots=True)
class Ask(Generic[Answer]):
    """A question about one store partition: how to read a copy here, how to ask one elsewhere.

    `local`: only this instance may answer. `max_lag`: copies that are so many records behind may answer.
    """

    store: str
    partition: int
    read_here: Callable[[StoreHandle], Awaitable[Answer]]
    ask_there: Callable[[Member], Awaitable[Answer]]
    max_lag: int | None
    local: bool


class Router:
    """Chooses the copy that answers, and falls back as far as the reader allows."""

    def __init__(self, instance: Instance, metadata: Metadata) -> None:
        self._instance = instance
        self._metadata = metadata

    def partition_count(self, store: str) -> int:
        """Count a store's partitions; refuses while the engine has not looked them up yet."""
        count = 1 if self._instance.is_global(store) else self._instance.partition_count(store)
        if count is None:
            raise Refusal(
                "no-owner",
                f"the partitions of store {store} are not known yet: ask again in a moment",
                {"store": store},
            )
        return count

    def partition_of(self, store: str, key: bytes) -> int:
        """The partition of a serialised key: the default partitioner over the store's partitions.

        Refuses where the topology places keys otherwise: a key looked for in the wrong partition would seem absent.
        """
        refuse_unplaced(store, self._instance.placing_topic(store))
        count = self._instance.key_partitions(store) or self.partition_count(store)
        return partition_for(placing_bytes(self._instance.specs()[store].key_serde, key), count)

    def check_partition(self, store: str, partition: int) -> int:
        """Refuse a partition that the store does not have."""
        if partition >= (count := self.partition_count(store)):
            raise bad_request(f"partition={partition}: store {store} has partitions 0 to {count - 1}")
        return partition

    def held_here(self, store: str) -> list[int]:
        """Partitions of which this instance holds a copy of any role."""
        return sorted(each.partition for each in self._instance.handles() if each.spec.name == store)

    async def answer(self, ask: Ask[Answer]) -> Answer:
        """Get an answer from the first copy that may give one; raises the Refusal that explains why none did."""
        handle = self._instance.handle(ask.store, ask.partition)
        if handle is not None and _is_serving(handle):
            return await self._here(handle, ask, None)
        if ask.local:
            if handle is None:
                raise self._not_here(ask)
            return await self._here(handle, ask, ask.max_lag)
        try:
            return await self._active_elsewhere(handle, ask)
        except Refusal as refusal:
            if ask.max_lag is None or refusal.code not in _TRY_ANOTHER:
                raise
            return await self._lagging(handle, ask, ask.max_lag, refusal)

    async def _here(self, handle: StoreHandle, ask: Ask[Answer], max_lag: int | None) -> Answer:
        refusal = None if _is_serving(handle) else unready(self._instance.instance_id, handle, max_lag)
        if refusal is not None:
            if refusal.code == "store-restoring":
                handle.asked()
            raise refusal
        try:
            answer = await ask.read_here(handle)
        except (InvalidBounds, UnsupportedOperation) as error:
            raise bad_request(str(error)) from error
        except (StoreNotReady, StoreError, TaskCorrupted) as error:
            # A damaged store leaves too: its task is taken over again, and rebuilds it.
            raise self._just_left(ask) from error
        # A revocation that went through meanwhile may have emptied the store under the read: say so, not "absent".
        now = self._instance.handle(ask.store, ask.partition)
        if now is None or (max_lag is None and not _is_serving(now)):
            raise self._just_left(ask)
        return answer

    async def _active_elsewhere(self, handle: StoreHandle | None, ask: Ask[Answer]) -> Answer:
        if handle is not None and handle.role in {"active", "global"}:
            # It is ours, only not ready: whoever reported the task before has lost it.
            refusal = unready(self._instance.instance_id, handle, None)
            if refusal is not None:
                if refusal.code == "store-restoring":
                    handle.asked()
                raise refusal
        replica = self._metadata.active(ask.store, ask.partition)
        if replica is None or replica.instance == self._instance.instance_id:
            raise self._no_owner(ask)
        member = self._reachable(replica, ask.store)
        try:
            return await ask.ask_there(member)
        except Refusal as refusal:
            if refusal.code == "store-moving":
                self._metadata.doubt(ask.store, replica)
            raise

    async def _lagging(self, handle: StoreHandle | None, ask: Ask[Answer], max_lag: int, refusal: Refusal) -> Answer:
        """Try the copies that are behind, most caught-up first; `refusal` is why the owner did not answer."""
        behind: list[int] = []
        if handle is not None:
            try:
                return await self._here(handle, ask, max_lag)
            except Refusal:
                behind += [handle.lag] if handle.lag is not None else []
        for replica in self._metadata.standbys(ask.store, ask.partition):
            if replica.instance == self._instance.instance_id:
                continue
            behind += [replica.lag] if replica.lag is not None else []
            if not self._metadata.is_reachable(replica.instance):
                continue
            # A report may be older than the copy: the standby itself says whether it is within max_lag.
            try:
                return await ask.ask_there(self._reachable(replica, ask.store))
            except Refusal as other:
                if other.code not in _TRY_ANOTHER:
                    raise
        if not behind:
            raise refusal
        raise Refusal(
            "too-far-behind",
            f"{refusal.message}; its other copies are at least {min(behind)} records behind, max_lag={max_lag}: "
            "allow more, or ask again later",
            {"lag": min(behind), "owner": refusal.brief()},
        )

    def _reachable(self, replica: Replica, store: str) -> Member:
        member = self._metadata.member(replica.instance)
        if member is not None and self._metadata.is_reachable(replica.instance):
            return member
        raise Refusal(
            "no-owner",
            f"partition {replica.partition} of store {store} belongs to instance {replica.instance}, "
            "which has stopped reporting: ask again once the group has moved its tasks",
            {"instance": replica.instance, "address": member.address if member else None, "reason": "unreachable"},
        )

    def _no_owner(self, ask: Ask[Answer]) -> Refusal:
        store, partition = ask.store, ask.partition
        copies = self._metadata.copies(store, partition)
        if any(each.role == "active" for each in copies):
            return Refusal(
                "store-moving",
                f"partition {partition} of store {store} is moving between instances: ask again in a moment",
                {"phase": "moving", "percent": None},
            )
        return Refusal(
            "no-owner",
            f"no running instance owns partition {partition} of store {store}: ask again once one has taken it",
            {"standbys": [each.instance for each in copies]},
        )

    def _just_left(self, ask: Ask[Answer]) -> Refusal:
        return Refusal(
            "store-moving",
            f"partition {ask.partition} of store {ask.store} has just left instance {self._instance.instance_id}: "
            "ask again in a moment",
            {"phase": "closed", "percent": None},
        )

    def _not_here(self, ask: Ask[Answer]) -> Refusal:
        return Refusal(
            "store-moving",
            f"instance {self._instance.instance_id} does not hold partition {ask.partition} of store {ask.store} (any more): "
            "ask again in a moment, without local=true",
            {"phase": "elsewhere", "percent": None},
        )


def refuse_unplaced(store: str, topic: str | None) -> None:
    """Refuse a key alone of a store that is filled through `topic`, which has a partitioner of its own."""
    if topic is not None:
        raise bad_request(
            f"where a key of store {store} lies is not known, since topic {topic} is written with a partitioner of its own: "
            "name the partition, or ask for the range from=KEY&to=KEY, which looks in all of them"
        )


def _is_serving(handle: StoreHandle) -> bool:
    return handle.role in {"active", "global"} and handle.phase == "done" and not handle.moving


def percent(handle: StoreHandle) -> float | None:
    """How much of a restore is done, 0 to 100; None when its bounds are not known."""
    if handle.start is None or handle.position is None or handle.end is None or handle.end <= handle.start:
        return None
    done = (handle.position - handle.start) / (handle.end - handle.start)
    return round(100 * min(max(done, 0.0), 1.0), 1)


def unready(instance_id: str, handle: StoreHandle, max_lag: int | None) -> Refusal | None:
    """Why a copy that is not a serving owner may not answer; None when it is within `max_lag`."""
    where = f"partition {handle.partition} of store {handle.spec.name} at instance {instance_id}"
    if max_lag is not None and handle.lag is not None and handle.phase != "queued":
        if handle.lag <= max_lag:
            return None
        return Refusal(
            "too-far-behind",
            f"{where} is {handle.lag} records behind, max_lag={max_lag}: allow more, or ask again later",
            {"lag": handle.lag},
        )
    if handle.role == "global":
        return Refusal(
            "store-restoring",
            f"global store {handle.spec.name} at instance {instance_id} is still being filled from its topic: ask again later",
            {"phase": handle.phase, "percent": None},
        )
    if handle.role == "active" and not handle.moving and handle.phase != "suspended":
        done = percent(handle)
        return Refusal(
            "store-restoring",
            f"{where} is restoring ({'unknown' if done is None else f'{done} %'}): ask again later, "
            "or set max_lag= to read a copy that is behind",
            {"phase": handle.phase, "percent": done, "position": handle.position, "end": handle.end},
        )
    return Refusal(
        "store-moving",
        f"{where} is {'moving' if handle.moving else f'a {handle.role} copy'}: ask again in a moment, "
        "or set max_lag= to read a copy that is behind",
        {"phase": "moving" if handle.moving else handle.phase, "percent": None, "role": handle.role},
    )
