"""The transaction of an instance's one producer, and the Kafka client that it lives in.

    idle ──begin──> open ──commit──> idle
                     └────abort────> idle        a fenced or broken client is closed and replaced

Owner: the producer; the loop's thread only. A client is made here and nowhere else: what ends a transaction often ends the client too. With
at-least-once there is no transaction: `begin` does nothing, and an abort replaces the client, so that nothing queued is sent later.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka import Producer as Client

from engine import broker_errors
from engine.config import EngineConfig
from engine.errors import BrokerUnavailable, TaskMigrated
from engine.runtime.aborts import OutcomeUnknown, RebalanceOvertook, TransactionAborted
from engine.runtime.bounded_call import BoundedCalls
from engine.runtime.delivery import Delivery
from engine.runtime.outputs import Outputs

log = logging.getLogger(__name__)

# A transaction that cannot be aborted so fast ends by its own timeout.
CLOSE_SECONDS = 3.0
# So much longer than it was told a call may take before it counts as lost.
UNHEEDED_SECONDS = 1.0

Result = TypeVar("Result")


class Transaction:
    """One transaction after the other, and the client for all of them.

    `settings` are the client's; `required` says whether there are transactions at all; `is_open` whether one is. `stopped`
    ends the wait for the first connection.
    """

    def __init__(
        self,
        config: EngineConfig,
        settings: Mapping[str, Any],
        outputs: Outputs,
        delivery: Delivery,
        stopped: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._outputs = outputs
        self._delivery = delivery
        # How long a transaction lives: after that a client that lost its coordinator is better replaced.
        self._lives_seconds = config.transaction_timeout / 1000
        self._calls = BoundedCalls()
        self._broken = False  # whether the client can be asked nothing any more, or is being replaced
        self._asked = False  # whether the open transaction was asked to be committed: its end may be unknown then
        self._begins = False  # whether the client still waits for its transactional id
        self._renew = False  # whether the client should be replaced after the next abort
        self.required = config.exactly_once
        self.is_open = False
        self.client: Any = None
        self._start(stopped)

    def begin(self) -> None:
        """Open a transaction unless one is open."""
        if self.required and not self.is_open:
            if self._delivery.cut_off:
                # It may not return from the next commit (librdkafka issue 5456); between transactions a new one costs little.
                log.info("the producer's client is replaced after an outage")
                self.replace()
            try:
                self.client.begin_transaction()
            except KafkaException as error:
                self._broken = True
                raise TransactionAborted(f"no transaction could be begun: {error.args[0].str()}") from error
            self.is_open = True

    def send_offsets(self, offsets: list[TopicPartition], group: Any) -> None:
        """Step 2 of a commit: input offsets into the transaction, under the group's generation.

        Raises BrokerUnavailable when nobody answers for as long as a transaction lives: it is undone, whatever was heard.
        """
        self.begin()
        client, what = self.client, "offsets could not join the transaction"
        self._in_transaction(
            lambda seconds: self._calls.call(
                lambda: client.send_offsets_to_transaction(offsets, group, seconds), seconds + UNHEEDED_SECONDS, what
            ),
            what,
        )

    def commit(self) -> None:
        """Step 3 of a commit. When it returns, all of it is visible; when it raises, none of it is or will be.

        Raises OutcomeUnknown when nobody answers for as long as a transaction lives: only then either may be true.
        """
        self._asked = True
        self._in_transaction(self.client.commit_transaction, "the transaction could not be committed")
        self.is_open = self._asked = False

    def abort(self) -> bool:
        """Undo the open transaction; a producer that cannot even do that is replaced, which fences the old one.

        Returns whether the transaction is known to be undone. False means that it may have been committed after all:
        what was committed has to be asked for then.
        """
        self._delivery.forget()
        if not self.required:
            # A purged client could still drop what is sent next: a new one starts clean.
            self.replace()
            return True
        if self._delivery.fatal is None and not self._broken:
            if not self.is_open:
                return True
            try:
                what = "the transaction could not be aborted"
                self._until_answered(self.client.abort_transaction, what, self._lives_seconds)
            except (KafkaException, BrokerUnavailable):
                pass  # replaced below, which ends the transaction one way or the other
            else:
                self.is_open = self._asked = False
                if self._renew:
                    # librdkafka's sequence numbers do not recover from a record that the broker refused for good.
                    self.replace()
                return True
        # Whoever has the id next ends the transaction that is open under it, unless it is committed already.
        self.replace()
        known, self._asked = not self._asked, False
        return known

    def ask_why(self) -> None:
        """Raise what ended the transaction, where that is known: `produce` only says that it has ended.

        Nothing can be committed by asking: the client answers with the error until the transaction is aborted.
        """
        self._in_transaction(self.client.commit_transaction, "the transaction failed")

    def close(self) -> None:
        """Leave; an open transaction is aborted so that readers need not wait for its timeout."""
        if self.required and self.is_open and self._delivery.fatal is None:
            with contextlib.suppress(KafkaException):  # it ends by its timeout then
                self.client.abort_transaction(CLOSE_SECONDS)
        self._delivery.serve(self.client.flush, CLOSE_SECONDS)
        self._calls.close()

    # -- calls of the client ------------------------------------------------------------------------------------------

    def _in_transaction(self, call: Callable[[float], None], what: str) -> None:
        try:
            self._until_answered(call, what, self._lives_seconds)
        except KafkaException as error:
            found = broker_errors.cause(error)
            if found.fatal():
                self._delivery.fatal = found
            self._renew = not isinstance(broker_errors.named(found, what), TaskMigrated)
            self._delivery.raise_what_stays(found, what)
            overtaken = found.code() in broker_errors.OVERTAKEN
            kind = RebalanceOvertook if overtaken else TransactionAborted
            raise kind(f"{what}: {found.str()}") from error
        except BrokerUnavailable as error:
            self._broken = True
            if not self._asked:
                raise
            raise OutcomeUnknown(str(error)) from error

    def _until_answered(self, call: Callable[[float], Result], what: str, seconds: float) -> Result:
        """Call for `seconds`, until it does not ask to be called again."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return call(5.0)
            except KafkaException as error:
                found = broker_errors.cause(error)
                if not broker_errors.passes(found) or found.fatal() or found.txn_requires_abort():
                    raise
                log.info("%s: %s (%s); asking again", what, found.str(), found.name())
                if time.monotonic() > deadline:
                    raise BrokerUnavailable(f"{what}: {found.str()}. Check the brokers") from error

    # -- the client ---------------------------------------------------------------------------------------------------

    def _start(self, stopped: Callable[[], bool]) -> None:
        """Connect for the first time, however long the brokers take; told to stop meanwhile, nothing is begun any more.

        A broker that has just started reads its transactions before it answers about any.
        """
        while not stopped():
            try:
                self._connect(0)
            except BrokerUnavailable as error:
                log.warning("not started yet: %s; trying again", error)
            else:
                return
        if self.client is None:
            self._make_client()

    def _connect(self, seconds: float) -> None:
        """Connect, fencing whoever used this transactional id before.

        Raises BrokerUnavailable when no broker answers within about `seconds`; called again it goes on waiting where it
        was. A new client for each attempt would leave the old ones waiting too, and once the brokers are back all of them
        would fence one another.
        """
        self._delivery.forget()
        self._delivery.fatal = None
        if not self._begins:
            self._make_client()
        if self.required:
            # Until it answers, this client is good for nothing but waiting.
            self._begins = True
            try:
                self._until_answered(self.client.init_transactions, "transactions could not be initialised", seconds)
            except KafkaException as error:
                self._begins = False
                raise broker_errors.named(error, "transactions could not be initialised") from error
        self._begins = False

    def _make_client(self) -> None:
        settings = {
            **self._settings,
            "batch.size": min(self._settings["batch.size"], self._outputs.batch_bytes_max),
            "error_cb": self._delivery.on_error,
        }
        if not self.required:
            # One call a record (0.2 µs) is the price of noticing a failure where no transaction would.
            settings["on_delivery"] = self._delivery.on_delivery
        self.client = Client(settings)
        self._delivery.cut_off = False
        self.is_open = False

    def replace(self) -> None:
        """Give up this producer and open another under the same id; raises MissingTopic when an output topic is gone.

        A client waits for a deleted topic as for a slow broker, so what it could not deliver is no clue.
        """
        if not self._begins:
            self.client.purge()
        # Until all of it is done: what is asked again has to end the same way.
        self._broken = True
        self._connect(self._lives_seconds)
        # Behind the opening, which is bounded: brokers that answered it answer this.
        self._outputs.learn()
        self._broken = self._renew = False
