"""What became of the records that were queued: what the Kafka client's callbacks said of them, and of the brokers.

Owner: the producer; the loop's thread, which runs the callbacks whenever it lets the client be served. With transactions a failed
record fails the commit; without, failures are collected here and raised at `flush`.
"""

from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message

from engine import broker_errors
from engine.errors import Fatal
from engine.runtime.aborts import TransactionAborted
from engine.runtime.outputs import Outputs


class Delivery:
    """Failures since the client was made, or since the last abort.

    `fatal` is the error after which the client is good for nothing; `cut_off` says whether no broker could be reached since it was made;
    `judges_size` whether records are measured here, before a topic's own limit.
    """

    def __init__(self, outputs: Outputs, *, judges_size: bool) -> None:
        self._outputs = outputs
        self._failed: list[tuple[KafkaError, str]] = []
        self.judges_size = judges_size
        self.fatal: KafkaError | None = None
        self.cut_off = False

    def forget(self) -> None:
        """What failed is undone: it counts no more."""
        self._failed.clear()

    def serve(self, call: Callable[[float], int], seconds: float) -> int:
        """Let callbacks run within the client's `poll` or `flush`. librdkafka raises a fatal error from whatever call serves it."""
        try:
            return call(seconds)
        except KafkaException as error:
            self.fatal = broker_errors.cause(error)
            return 0

    def raise_failure(self) -> None:
        """Raise what callbacks have collected."""
        if self.fatal is not None:
            raise TransactionAborted(f"the producer failed: {self.fatal.str()}")
        if self._failed:
            error, place = self._failed[0]
            what = f"{len(self._failed)} records were not delivered, the first to {place}"
            self.raise_what_stays(error, what)
            raise TransactionAborted(f"{what}: {error.str()}")

    def raise_what_stays(self, error: KafkaError, what: str) -> None:
        """Raise Fatal for what doing it again would not mend; return for what it may."""
        if error.code() in broker_errors.REFUSED:
            judged, self.judges_size = self.judges_size, True
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

    def on_delivery(self, error: KafkaError | None, message: Message) -> None:
        """The client's report of one record."""
        if error is not None:
            self._failed.append((error, f"{message.topic()}-{message.partition()}"))

    def on_error(self, error: KafkaError) -> None:
        """The client's news of itself and of the brokers."""
        if error.fatal():
            self.fatal = error
        elif error.code() == broker_errors.ALL_BROKERS_DOWN:
            self.cut_off = True
