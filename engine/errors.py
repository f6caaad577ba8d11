"""Every error the engine raises on purpose, named by what happens next.

    StatehouseError
    ├── ConfigError             the call or the setting is wrong: nothing was started
    ├── TopologyError           the topology cannot be built or changed like this: nothing was started
    ├── Retry                   try the same thing again, later
    │   ├── StoreNotReady       an interactive query met a store that restores or moves
    │   └── BrokerUnavailable   the cluster did not answer within its bound
    ├── SkipRecord              this record cannot be processed: the handler decides (fail, skip, dead-letter)
    │   ├── DeserializationError
    │   ├── SerializationError
    │   ├── ProcessingError     user code raised
    │   └── ProductionError     its topic does not take it: too large, without a key, of a time that it refuses
    ├── RebuildTask             the task's state cannot be trusted: drop its overlay, or its store, and replay
    │   ├── TaskCorrupted       the local store is damaged or behind its changelog's beginning
    │   └── TaskMigrated        another member owns the task now: close it without committing
    └── StopEngine              nothing in this process can mend it: stop with this message
        ├── StateDirectoryLocked
        ├── DiskFull            the state directory has no room left: start again once it has, nothing is lost
        │   └── DiskNearlyFull  … and there is still enough for a clean stop
        ├── StoreFull           a bounded in-memory store has reached its bound
        ├── StoreError          a store was used in a way that it does not allow
        └── Fatal

What the brokers do, and what the engine does then:

    do not answer, for however long   Retry: everything since the last commit is undone and done again once they do
    have no room in the queue yet     the loop waits (back-pressure); nothing fails, nothing is lost
    refuse a record                   ProductionError: the production handler decides, before the record is in a transaction
    refuse it all the same            the topic changed: its settings are read again, the transaction is undone and redone
    … with unchanged settings         Fatal, in the broker's words
    refuse a changelog record         Fatal: a store and its changelog must not part
    forbid a topic, group or id       Fatal: which right is missing, and for what
    do not know a topic               at start ConfigError or TopologyError; later MissingTopic, a Fatal
    fence the producer or the member  TaskMigrated, TransactionAborted: undone, and the member rejoins

A message says what happened, where (topic-partition@offset, task, store) and what to do.
"""

from __future__ import annotations


class StatehouseError(Exception):
    """Root of every error raised on purpose."""


class ConfigError(StatehouseError, ValueError):
    """A setting or an argument is wrong; the message names it and says what it takes."""


class TopologyError(StatehouseError):
    """The topology cannot be built, or cannot replace the one that is running."""


class Retry(StatehouseError):
    """The same call can succeed later."""


class StoreNotReady(Retry):
    """The store restores, moves, or has no owner at the moment."""


class BrokerUnavailable(Retry):
    """The cluster did not answer within the bound."""


class SkipRecord(StatehouseError):
    """One record cannot be processed; the configured handler decides what becomes of it."""


class DeserializationError(SkipRecord):
    """Bytes are not what the serde expects."""


class SerializationError(SkipRecord):
    """A value is not what the serde can write."""


class ProcessingError(SkipRecord):
    """User code raised while it processed a record."""


class ProductionError(SkipRecord):
    """A topic does not take a record."""


class RebuildTask(StatehouseError):
    """A task must be re-created from what was committed."""


class TaskCorrupted(RebuildTask):
    """Local state is damaged, too old, or behind the beginning of its changelog."""


class TaskMigrated(RebuildTask):
    """Another member of the group owns the task: close it, commit nothing."""


class StopEngine(StatehouseError):
    """The engine stops with this message."""


class StateDirectoryLocked(StopEngine):
    """Another process holds the state directory."""


class DiskFull(StopEngine):
    """The state directory's disk is full. Started again with room, the engine replays what it could not write."""


class DiskNearlyFull(DiskFull):
    """The disk has less room than `disk_free_bytes_min`: enough to commit and to close, not to go on."""


class StoreFull(StopEngine):
    """A bounded in-memory store has reached its bound."""


class StoreError(StopEngine):
    """A store was used in a way that its contract forbids."""


class NullKeyError(StoreError, TypeError):
    """A store operation that needs a key was given None."""


class UnsupportedOperation(StoreError, NotImplementedError):
    """The store kind does not offer this operation (as in Kafka Streams)."""


class InvalidBounds(StoreError, ValueError):
    """Bounds of a query that the store kind refuses (as in Kafka Streams)."""


class Fatal(StopEngine):
    """Nothing in this process can mend it."""
