"""The one producer of an instance: sinks, repartition topics and changelogs go through it, in one transaction.

Owner: the loop; its thread only. Between the tasks and the broker in a record's way. `send` is the collector that tasks
are given. What a topic would refuse is handed to `refused` before it enters a transaction (`outputs`). Delivery is
checked as a whole: with transactions a failed record fails the commit; without, failures are collected by the delivery
callback and raised at `flush`.

    idle ──begin──> open ──commit──> idle
                     └────abort────> idle        a fenced or broken producer is closed and replaced
"""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from operator import length_hint
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka import Producer as Client

from engine import broker_errors, client_settings
from engine.config import EngineConfig
from engine.errors import BrokerUnavailable, Fatal, ProductionError, RebuildTask, TaskMigrated
from engine.runtime.bounded_call import BoundedCalls
from engine.runtime.outputs import Outputs

log = logging.getLogger(__name__)

ANY_PARTITION = -1
# Records that may wait for the broker before `produce` refuses more: half a second at full speed.
QUEUE_RECORDS_MAX = 200_000
QUEUE_KBYTES_MAX = 256 * 1024
BATCH_BYTES_MAX = 1024 * 1024
# librdkafka's own default.
MESSAGE_BYTES_MAX = 1_000_000
COMPRESSION = {"compression.codec", "compression.type"}
# How long to wait for room in the queue in one go; every round serves delivery reports.
ROOM_SECONDS = 0.05
METADATA_SECONDS = 10.0
# A broker that has just started reads its transactions before it answers about any: nothing waits for a start but the
# start itself. Later a client is replaced within the transaction's own time, so that the loop goes on.
START_SECONDS = 60.0
# A transaction that cannot be aborted so fast ends by its own timeout.
CLOSE_SECONDS = 3.0
# So much longer than it was told a call may take before it counts as lost.
UNHEEDED_SECONDS = 1.0

Result = TypeVar("Result")
# What becomes of a record that its topic does not take: topic, key, value, timestamp, headers, why. Raises to stop.
Refused = Callable[[str, bytes | None, bytes | None, int, Any, ProductionError], None]


class TransactionAborted(RebuildTask):
    """The transaction cannot be committed: every task of the producer goes back to what was committed."""


class RebalanceOvertook(TransactionAborted):
    """The group moved on to another generation while this one committed: no fault, done again under the new one.

    The broker counts generations up before it tells the members, and the client does not say that it is on its way
    there, so a commit in between cannot be held back.
    """


class OutcomeUnknown(TransactionAborted):
    """Nobody here can tell whether the transaction was committed: ask the group, and replay the changelogs."""


class Producer:
    """A producer with the guarantee of `config`; without transactions `begin`, `abort` and offsets do nothing."""

    def __init__(
        self, config: EngineConfig, client: Mapping[str, Any], transactional_id: str, outputs: Outputs
    ) -> None:
        self._config = config
        self._outputs = outputs
        self.refused: Refused = _stop
        self._settings = _settings(config, client, transactional_id)
        self._message_bytes_max = int(self._settings["message.max.bytes"])
        # A compressed record's size is not known here: then the broker says first which topic has one too large.
        self._judges_size = not COMPRESSION & set(self._settings)
        self.transactional = config.exactly_once
        self.in_transaction = False
        self._calls = BoundedCalls()
        self._failed: list[tuple[KafkaError, str]] = []
        self._fatal: KafkaError | None = None
        self._unknown = False  # whether the transaction's end is not known, or the client is being replaced
        self._begins = False  # whether the client still waits for its transactional id
        self._cut_off = False  # whether no broker could be reached since the client was made
        self._renew = False  # whether the client should be replaced after the next abort
        self._counts: dict[str, int] = {}
        self._client: Any = None
        self.records_total = 0
        self.open(START_SECONDS)

    def open(self, seconds: float) -> None:
        """Connect, fencing whoever used this transactional id before.

        Raises BrokerUnavailable when no broker answers within about `seconds`; called again it goes on waiting where it
        was. A new client for each attempt would leave the old ones waiting too, and once the brokers are back all of them
        would fence one another.
        """
        self._failed.clear()
        self._fatal = None
        if not self._begins:
            self._make_client()
        if self.transactional:
            # Until it answers, this client is good for nothing but waiting.
            self._begins = True
            try:
                self._until_answered(self._client.init_transactions, "transactions could not be initialised", seconds)
            except KafkaException:
                self._begins = False
                raise
        self._begins = False

    def _make_client(self) -> None:
        settings = {
            **self._settings,
            "batch.size": min(self._settings["batch.size"], self._outputs.batch_bytes_max),
            "error_cb": self._on_error,
        }
        if not self.transactional:
            # One call a record (0.2 µs) is the price of noticing a failure where no transaction would.
            settings["on_delivery"] = self._on_delivery
        self._client = Client(settings)
        self._cut_off = False
        self._produce = self._client.produce
        self.in_transaction = False

    # -- records ------------------------------------------------------------------------------------------------------

    def send(
        self,
        topic: str,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        headers: Sequence[Any] | None = None,
        partitions: Sequence[int | None] | None = None,
    ) -> None:
        """Queue records; a None partition means murmur2 of the key. Waits while the queue is full.

        What the topic does not take goes to `refused`, which raises, or returns so that the record is skipped.
        """
        if not keys:
            return
        self.begin()
        now_ms = time.time_ns() // 1_000_000
        limits = self._outputs.of(topic)
        bytes_from = self._message_bytes_max if self._judges_size else 0
        if not limits.takes_all(keys, values, timestamps, headers, now_ms, bytes_from):
            rows = zip(keys, values, timestamps, headers or [None] * len(keys), strict=True)
            why = [limits.refusal(*row, now_ms, bytes_from) for row in rows]
            if any(why):
                self._sift(topic, why, keys, values, timestamps, headers, partitions)
                return
        self.records_total += len(keys)
        if headers is None and partitions is None:
            self._produce_columns(topic, ANY_PARTITION, keys, values, timestamps, self.refused)
            return
        count = len(keys)
        every_header = headers if headers is not None else [None] * count
        every_partition = partitions if partitions is not None else [None] * count
        for key, value, at, header, partition in zip(
            keys, values, timestamps, every_header, every_partition, strict=True
        ):
            place = ANY_PARTITION if partition is None else partition
            self._send_one(topic, value, key, place, None, at, header, self.refused)

    def _sift(
        self,
        topic: str,
        why: Sequence[ProductionError | None],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        headers: Sequence[Any] | None,
        partitions: Sequence[int | None] | None,
    ) -> None:
        """Send what the topic takes, and hand the rest to the handler."""
        taken = [row for row, error in enumerate(why) if error is None]
        for row, error in enumerate(why):
            if error is not None:
                header = None if headers is None else headers[row]
                self.refused(topic, keys[row], values[row], timestamps[row], header, error)

        def chosen(column: Sequence[Any]) -> list[Any]:
            return [column[row] for row in taken]

        self.send(
            topic,
            chosen(keys),
            chosen(values),
            chosen(timestamps),
            None if headers is None else chosen(headers),
            None if partitions is None else chosen(partitions),
        )

    def _produce_columns(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        refused: Refused,
    ) -> None:
        """Produce parallel columns. `map` calls `produce` from C: a loop's own steps would cost half as much again."""
        if 0 in timestamps:
            # librdkafka takes time 0 for "now".
            timestamps = [at or 1 for at in timestamps]
        start, count = 0, len(values)
        while start < count:
            rest = iter(values[start:] if start else values)
            columns = (keys[start:], timestamps[start:]) if start else (keys, timestamps)
            calls = map(
                self._produce,
                repeat(topic),
                rest,
                columns[0],
                repeat(partition),
                repeat(None),
                repeat(None),
                columns[1],
            )
            try:
                deque(calls, 0)
            except BufferError:
                # The iterator has passed the record that found no room.
                start = count - length_hint(rest) - 1
                self._serve(ROOM_SECONDS)
                self.raise_failure()
            except KafkaException as error:
                row = count - length_hint(rest) - 1
                self._refuse(error, topic, keys[row], values[row], timestamps[row], None, refused)
                start = row + 1
            else:
                return

    def send_changelog(
        self,
        topic: str,
        partition: int,
        records: Sequence[tuple[bytes, bytes | None, int]],
        acked: Callable[[int], None],
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> None:
        """Queue the records of one changelog partition; `acked` gets the offset of the last one once it is delivered.

        Within a partition records arrive in order, so the last one's offset tells where all of them are. `headers` go
        with every record but tombstones. A timestamp of None is the time at which the record is sent.
        """
        if not records:
            return
        self.begin()
        self.records_total += len(records)
        *rest, last = records
        if headers or last[2] is None:
            # A buffer's changelog: few records, each as the time of its sending and the format's headers want it.
            for key, value, at in rest:
                self._send_one(topic, value, key, partition, None, at, None if value is None else headers, _stop)
        elif rest:
            keys, values, times = zip(*rest, strict=True)
            self._produce_columns(topic, partition, keys, values, times, _stop)

        def delivered(error: KafkaError | None, message: Any) -> None:
            if error is None:
                acked(message.offset())
            else:
                self._on_delivery(error, message)

        key, value, at = last
        self._send_one(topic, value, key, partition, delivered, at, None if value is None else headers, _stop)

    def _send_one(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        callback: Callable[..., None] | None,
        at: int | None,
        headers: Any,
        refused: Refused,
    ) -> None:
        # librdkafka takes time 0 for "now".
        sent_at = 0 if at is None else at or 1
        while True:
            try:
                if headers:
                    self._produce(topic, value, key, partition, callback, None, sent_at, list(headers))
                else:
                    self._produce(topic, value, key, partition, callback, None, sent_at)
            except BufferError:
                # Back-pressure: the loop stands still until the broker has taken some.
                self._serve(ROOM_SECONDS)
                self.raise_failure()
            except KafkaException as error:
                self._refuse(error, topic, key, value, sent_at, headers, refused)
                return
            else:
                return

    def _refuse(
        self,
        error: KafkaException,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        at: int,
        headers: Any,
        refused: Refused,
    ) -> None:
        """React to what `produce` says: ask the handler about a record that the client does not take, raise the rest."""
        code = broker_errors.cause(error).code()
        if code == KafkaError.MSG_SIZE_TOO_LARGE:
            # The client looks before it queues a record: it is in no transaction.
            size = len(key or b"") + len(value or b"")
            why = f"it has {size:,} bytes, and the client's message.max.bytes is {self._message_bytes_max:,}"
            refused(topic, key, value, at, headers, ProductionError(f"{why}: raise it with client_settings"))
            return
        if code in {broker_errors.STATE, broker_errors.FENCED} and self.transactional:
            self._ask_why()
            raise TransactionAborted(
                f"the transaction ended while records for {topic} were sent: {error.args[0].str()}"
            ) from error
        raise broker_errors.named(error, f"a record for topic {topic} was refused") from error

    def _ask_why(self) -> None:
        """Raise what ended the transaction, where that is known: `produce` only says that it has ended.

        Nothing can be committed by asking: the client answers with the error until the transaction is aborted.
        """
        self._in_transaction(self._client.commit_transaction, "the transaction failed")

    # -- the transaction ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open a transaction unless one is open."""
        if self.transactional and not self.in_transaction:
            if self._cut_off:
                # It may not return from the next commit (librdkafka issue 5456); between transactions a new one costs little.
                log.info("the producer's client is replaced after an outage")
                self.replace()
            try:
                self._client.begin_transaction()
            except KafkaException as error:
                self._unknown = True
                raise TransactionAborted(f"no transaction could be begun: {error.args[0].str()}") from error
            self.in_transaction = True

    def poll(self) -> None:
        """Serve delivery reports without waiting."""
        self._serve(0)

    def _serve(self, timeout: float, call: Callable[[float], int] | None = None) -> int:
        """Let callbacks run. librdkafka raises a fatal error from whatever call serves it."""
        try:
            return (call or self._client.poll)(timeout)
        except KafkaException as error:
            self._fatal = broker_errors.cause(error)
            return 0

    def flush(self) -> None:
        """Wait until the broker has taken everything; raises what went wrong on the way."""
        deadline = time.monotonic() + self._config.max_poll_interval_ms / 1000
        while self._serve(0.5, self._client.flush) > 0:
            self.raise_failure()
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"{len(self._client)} records were not taken by the brokers: are they up?")
        self.raise_failure()

    def send_offsets(self, offsets: list[TopicPartition], group: Any) -> None:
        """Step 2 of a commit: input offsets into the transaction, under the group's generation."""
        self.begin()
        client, what = self._client, "offsets could not join the transaction"
        self._in_transaction(
            lambda seconds: self._calls.call(
                lambda: client.send_offsets_to_transaction(offsets, group, seconds), seconds + UNHEEDED_SECONDS, what
            ),
            what,
        )

    def commit(self) -> None:
        """Step 3 of a commit. When it returns, all of it is visible; when it raises, none of it is or will be."""
        self._in_transaction(self._client.commit_transaction, "the transaction could not be committed")
        self.in_transaction = False

    def abort(self) -> bool:
        """Undo the open transaction; a producer that cannot even do that is replaced, which fences the old one.

        Returns whether the transaction is known to be undone. False means that it may have been committed after all:
        what was committed has to be asked for then.
        """
        self._failed.clear()
        if not self.transactional:
            # A purged client could still drop what is sent next: a new one starts clean.
            self.replace()
            return True
        if self._fatal is None and not self._unknown:
            if not self.in_transaction:
                return True
            try:
                what = "the transaction could not be aborted"
                self._until_answered(self._client.abort_transaction, what, self._transaction_seconds)
            except (KafkaException, BrokerUnavailable):
                pass  # replaced below, which ends the transaction one way or the other
            else:
                self.in_transaction = False
                if self._renew:
                    # librdkafka's sequence numbers do not recover from a record that the broker refused for good.
                    self.replace()
                return True
        self.replace()
        return False

    def replace(self) -> None:
        """Give up this producer and open another under the same id; raises MissingTopic when an output topic is gone.

        A client waits for a deleted topic as for a slow broker, so what it could not deliver is no clue.
        """
        if not self._begins:
            self._client.purge()
        # Until all of it is done: what is asked again has to end the same way.
        self._unknown = True
        self.open(self._transaction_seconds)
        # Behind the opening, which is bounded: brokers that answered it answer this.
        self._outputs.learn()
        self._unknown = self._renew = False

    def close(self) -> None:
        """Leave; an open transaction is aborted so that readers need not wait for its timeout."""
        if self.transactional and self.in_transaction and self._fatal is None:
            with contextlib.suppress(KafkaException):  # it ends by its timeout then
                self._client.abort_transaction(CLOSE_SECONDS)
        self._serve(CLOSE_SECONDS, self._client.flush)
        self._calls.close()

    def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has; asked for once."""
        if topic not in self._counts:
            try:
                found = self._client.list_topics(topic, METADATA_SECONDS).topics[topic]
            except KafkaException as error:
                raise broker_errors.named(error, f"the partitions of topic {topic} could not be read") from error
            if found.error is not None:
                raise broker_errors.named(found.error, f"the partitions of topic {topic} could not be read")
            self._counts[topic] = len(found.partitions)
        return self._counts[topic]

    def _in_transaction(self, call: Callable[[float], None], what: str) -> None:
        try:
            self._until_answered(call, what, self._transaction_seconds)
        except KafkaException as error:
            found = broker_errors.cause(error)
            if found.fatal():
                self._fatal = found
            self._renew = not isinstance(broker_errors.named(found, what), TaskMigrated)
            self._raise_what_stays(found, what)
            overtaken = found.code() in broker_errors.OVERTAKEN
            kind = RebalanceOvertook if overtaken else TransactionAborted
            raise kind(f"{what}: {found.str()}") from error
        except BrokerUnavailable as error:
            self._unknown = True
            raise OutcomeUnknown(str(error)) from error

    @property
    def _transaction_seconds(self) -> float:
        """How long a transaction lives: after that a client that lost its coordinator is better replaced."""
        return self._config.transaction_timeout / 1000

    def _until_answered(self, call: Callable[[float], Result], what: str, seconds: float) -> Result:
        """Call for `seconds`, until it does not ask to be called again; librdkafka marks such errors as retriable."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return call(5.0)
            except KafkaException as error:
                found = broker_errors.cause(error)
                again = found.retriable() or found.code() == broker_errors.TIMED_OUT
                if not again or found.fatal() or found.txn_requires_abort():
                    raise
                log.info("%s: %s (%s); asking again", what, found.str(), found.name())
                if time.monotonic() > deadline:
                    raise BrokerUnavailable(f"{what}: {found.str()}. Check the brokers") from error

    # -- failures -----------------------------------------------------------------------------------------------------

    def raise_failure(self) -> None:
        """Raise what callbacks have collected."""
        if self._fatal is not None:
            raise TransactionAborted(f"the producer failed: {self._fatal.str()}")
        if self._failed:
            error, place = self._failed[0]
            what = f"{len(self._failed)} records were not delivered, the first to {place}"
            self._raise_what_stays(error, what)
            raise TransactionAborted(f"{what}: {error.str()}")

    def _raise_what_stays(self, error: KafkaError, what: str) -> None:
        """Raise Fatal for what doing it again would not mend; return for what it may."""
        if error.code() in broker_errors.REFUSED:
            judged, self._judges_size = self._judges_size, True
            # Settings that have changed, and sizes before compression, are heeded when the records come again.
            if not self._outputs.learn() and judged:
                raise Fatal(
                    f"{what}: {error.str()}. A topic refuses a record, and none of its settings says why: change the "
                    "topic or what is written"
                )
            return
        named = broker_errors.named(error, what)
        if error.code() in broker_errors.DENIED or isinstance(named, broker_errors.MissingTopic):
            raise named

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append((error, f"{message.topic()}-{message.partition()}"))

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error
        elif error.code() == broker_errors.ALL_BROKERS_DOWN:
            self._cut_off = True


def _stop(topic: str, key: bytes | None, value: bytes | None, _at: int, _headers: Any, error: ProductionError) -> None:
    """A changelog's record is never skipped: its store would hold what the changelog does not."""
    raise Fatal(
        f"topic {topic} does not take a record (key of {len(key or b''):,} bytes, value of {len(value or b''):,} bytes): "
        f"{error}. Raise max.message.bytes of the topic too, or keep smaller values"
    ) from error


def _settings(config: EngineConfig, client: Mapping[str, Any], transactional_id: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "queue.buffering.max.messages": QUEUE_RECORDS_MAX,
        "queue.buffering.max.kbytes": QUEUE_KBYTES_MAX,
        "linger.ms": 20,
        "batch.size": BATCH_BYTES_MAX,
        "message.max.bytes": MESSAGE_BYTES_MAX,
        **client_settings.of_kind(config.client_settings, client_settings.PRODUCER),
        **client,
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
    }
    settings["batch.size"] = int(settings["batch.size"])
    if config.exactly_once:
        settings["transactional.id"] = transactional_id
        settings["transaction.timeout.ms"] = config.transaction_timeout
    return settings
