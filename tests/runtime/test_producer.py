"""The producer without tasks: back-pressure, failures, what a transaction hides."""

import time

import confluent_kafka
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from engine import broker_errors
from engine.changelog.topics import Topics
from engine.config import AT_LEAST_ONCE
from engine.errors import BrokerUnavailable
from engine.runtime import producer as producers
from engine.runtime import transaction as transactions
from engine.runtime.aborts import OutcomeUnknown, RebalanceOvertook, TransactionAborted
from engine.runtime.outputs import Outputs
from engine.runtime.producer import Producer
from tests.runtime.harness import PATIENCE_SECONDS, alter, config, create, eventually, produce, read

pytestmark = pytest.mark.kafka


def make(kafka, tmp_path, **settings):
    name = kafka.unique("producer")
    found = config(kafka, name, tmp_path, **settings)
    client = {"bootstrap.servers": kafka.bootstrap_servers}
    return Producer(found, client, name, Outputs(Topics(client), []))


def columns(count):
    return [b"k%d" % i for i in range(count)], [b"v%d" % i for i in range(count)], list(range(1, count + 1))


def test_a_full_queue_holds_the_caller_up_and_loses_nothing(kafka, tmp_path, monkeypatch):
    topic = create(kafka, kafka.unique("full"))
    monkeypatch.setattr(producers, "QUEUE_RECORDS_MAX", 100)
    # However long a busy machine takes for it: a transaction that is older than its timeout is fenced.
    producer = make(kafka, tmp_path, session_timeout_ms=60_000)
    keys, values, times = columns(2_000)
    producer.send(topic, keys, values, times)
    offsets = []
    producer.send_changelog(topic, 0, list(zip(keys, values, times, strict=True)), offsets.append)
    producer.transaction.commit()
    producer.close()
    assert [(k, v, t) for k, v, t, _ in read(kafka, topic)] == 2 * list(zip(keys, values, times, strict=True))
    assert offsets == [3_999]


def test_what_is_aborted_is_never_seen(kafka, tmp_path):
    topic = create(kafka, kafka.unique("aborted"))
    producer = make(kafka, tmp_path)
    producer.send(topic, *columns(10))
    assert producer.transaction.abort() is True
    producer.send(topic, [b"seen"], [b"1"], [5])
    producer.transaction.commit()
    producer.close()
    assert read(kafka, topic) == [(b"seen", b"1", 5, 0)]


@pytest.mark.parametrize("settings", [{}, {"guarantee": AT_LEAST_ONCE}])
def test_a_topic_that_has_become_smaller_fails_the_commit_and_is_known_from_then_on(kafka, tmp_path, settings):
    topic = create(kafka, kafka.unique("small"))
    producer = make(kafka, tmp_path, **settings)
    refused = []

    def note(_topic, key, value, _at, _headers, error):
        refused.append((key, len(value), str(error)))

    producer.refused = note

    def send():
        producer.send(topic, [b"k", b"k"], [b"x" * 5_000, b"fits"], [1, 1])
        producer.transaction.commit() if producer.transaction.required else producer.flush()

    producer.send(topic, [b"k"], [b"before"], [1])
    producer.transaction.commit() if producer.transaction.required else producer.flush()
    alter(kafka, topic, max_message_bytes="500")
    with pytest.raises(TransactionAborted):
        eventually(send, "the broker has heard of it")
    producer.transaction.abort()
    send()
    producer.close()
    assert refused == [(b"k", 5_000, "it has 5,092 bytes, and max.message.bytes of the topic is 500")]
    assert read(kafka, topic)[-1][1] == b"fits"


def test_keys_go_where_java_puts_them_and_time_0_is_not_now(kafka, tmp_path):
    topic = create(kafka, kafka.unique("placed"), partitions=3)
    producer = make(kafka, tmp_path)
    keys = [b"21", b"foobar", b"a-little-bit-long-string", b""]
    producer.send(topic, keys, [b"v"] * 4, [0, 0, 7, 7])
    producer.send(topic, [b"x", b"y"], [b"v", b"v"], [1, 1], None, [2, None])
    producer.transaction.commit()
    assert producer.partitions_of(topic) == 3
    producer.close()
    found = {key: (partition, at) for key, _, at, partition in read(kafka, topic)}
    # Kafka's own test values of murmur2: -973932308, -790332482, -985981536, 275646681.
    hashes = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"": 275646681}
    assert {k: found[k][0] for k in keys} == {k: (h & 0x7FFFFFFF) % 3 for k, h in hashes.items()}
    assert (found[b"21"][1], found[b""][1], found[b"x"][0]) == (1, 7, 2)


def test_a_commit_of_a_member_that_the_group_has_left_out_is_done_again(kafka, tmp_path):
    """It has yet to hear of it, and joins again by itself: ten such commits must not stop an engine."""
    topic = create(kafka, kafka.unique("left-out"))
    settings = {"bootstrap.servers": kafka.bootstrap_servers, "group.id": kafka.unique("group")}
    member = Consumer(settings)
    member.subscribe([topic])
    eventually(lambda: member.poll(0.1) or member.assignment(), "an assignment")
    metadata = member.consumer_group_metadata()
    member.close()
    producer = make(kafka, tmp_path)
    producer.send(topic, [b"k"], [b"v"], [1])
    with pytest.raises(RebalanceOvertook, match=r"[Uu]nknown member"):
        producer.transaction.send_offsets([TopicPartition(topic, 0, 1)], metadata)
    producer.transaction.abort()
    producer.close()
    assert read(kafka, topic) == []


def test_a_second_producer_of_the_same_id_fences_the_first(kafka, tmp_path):
    topic = create(kafka, kafka.unique("fenced"))
    first = make(kafka, tmp_path)
    first.send(topic, *columns(3))
    client = {"bootstrap.servers": kafka.bootstrap_servers}
    second = Producer(first._config, client, first._settings["transactional.id"], first._outputs)
    with pytest.raises(TransactionAborted):
        first.transaction.commit()
    second.send(topic, [b"k"], [b"v"], [1])
    second.transaction.commit()
    second.close()
    assert first.transaction.abort() is False
    first.send(topic, [b"k"], [b"again"], [2])
    first.transaction.commit()
    first.close()
    assert [value for _, value, *_ in read(kafka, topic)] == [b"v", b"again"]
    produce(kafka, topic, [(b"k", b"plain")])


def test_a_client_that_is_fenced_while_it_sends_is_replaced(kafka, tmp_path):
    first = make(kafka, tmp_path)
    first.send(create(kafka, kafka.unique("before")), *columns(3))
    client = {"bootstrap.servers": kafka.bootstrap_servers}
    second = Producer(first._config, client, first._settings["transactional.id"], first._outputs)
    topic = create(kafka, kafka.unique("fenced-within"))

    def send():
        # The client hears of it when it adds a topic to its transaction; from then on it takes no record.
        first.send(topic, [b"k"], [b"lost"], [1])

    with pytest.raises(TransactionAborted):
        eventually(send, "the client has heard of it")
    # Nothing was asked to be committed, and whoever fences ends what is open.
    assert first.transaction.abort() is True
    first.send(topic, [b"k"], [b"again"], [2])
    first.transaction.commit()
    first.close()
    second.close()
    assert [value for _, value, *_ in read(kafka, topic)] == [b"again"]


def test_a_start_waits_for_a_broker_that_still_loads_its_transactions_and_a_replacement_does_not(
    kafka, tmp_path, monkeypatch
):
    loads_seconds = 2.0  # twice as long as a transaction lives

    class Loading(confluent_kafka.Producer):
        """The client as it is on a broker that has just started: it asks to be asked again."""

        def __init__(self, settings):
            super().__init__(settings)
            self._loaded_at = time.monotonic() + loads_seconds

        def init_transactions(self, timeout):
            if time.monotonic() < self._loaded_at:
                time.sleep(0.05)
                raise KafkaException(KafkaError(broker_errors.TIMED_OUT, "the coordinator loads"))
            super().init_transactions(timeout)

    monkeypatch.setattr(transactions, "Client", Loading)
    topic = create(kafka, kafka.unique("loading"))
    producer = make(kafka, tmp_path, transaction_timeout_ms=1_000)
    producer.send(topic, [b"k"], [b"v"], [1])
    producer.transaction.commit()
    loads_seconds = PATIENCE_SECONDS
    for _ in range(2):
        with pytest.raises(BrokerUnavailable, match="could not be initialised"):
            producer.transaction.replace()
        waiting = producer.transaction.client
        loads_seconds = 0.0
    # A second client would fence the first, or be fenced by it, as soon as there is a coordinator.
    waiting._loaded_at = 0.0
    producer.transaction.replace()
    assert producer.transaction.client is waiting
    producer.send(topic, [b"k"], [b"w"], [1])
    producer.transaction.commit()
    producer.close()
    assert [value for _, value, *_ in read(kafka, topic)] == [b"v", b"w"]


def test_after_an_outage_the_next_transaction_begins_with_a_new_client(kafka, tmp_path):
    topic = create(kafka, kafka.unique("outage"))
    producer = make(kafka, tmp_path)
    producer.send(topic, [b"k"], [b"before"], [1])
    producer._delivery.on_error(KafkaError(broker_errors.ALL_BROKERS_DOWN))
    producer.send(topic, [b"k"], [b"within"], [1])
    before = producer.transaction.client
    producer.transaction.commit()
    producer.send(topic, [b"k"], [b"after"], [1])
    assert producer.transaction.client is not before
    producer.transaction.commit()
    now = producer.transaction.client
    producer.send(topic, [b"k"], [b"later"], [1])
    assert producer.transaction.client is now
    producer.transaction.commit()
    producer.close()
    assert [value for _, value, *_ in read(kafka, topic)] == [b"before", b"within", b"after", b"later"]


def test_an_outcome_stays_unknown_until_the_client_is_replaced_and_its_topics_are_known(kafka, tmp_path, monkeypatch):
    topic = create(kafka, kafka.unique("unknown"))
    producer = make(kafka, tmp_path)

    def no_answer():
        raise BrokerUnavailable("a test says so")

    with monkeypatch.context() as patch:
        producer.send(topic, [b"k"], [b"v"], [1])
        committed = producer.transaction.client.commit_transaction

        class Deaf:
            """The client as it is when the broker's answer to a commit is lost."""

            purge = staticmethod(producer.transaction.client.purge)

            @staticmethod
            def commit_transaction(_seconds):
                committed(10)
                no_answer()

        patch.setattr(producer.transaction, "client", Deaf)
        with pytest.raises(OutcomeUnknown):
            producer.transaction.commit()
        patch.setattr(producer._outputs, "learn", no_answer)
        with pytest.raises(BrokerUnavailable):
            producer.transaction.abort()
    # "Undone" would have the tasks process again what was committed.
    assert producer.transaction.abort() is False
    assert producer.transaction.abort() is True
    producer.close()
    assert [value for _, value, *_ in read(kafka, topic)] == [b"v"]


def test_offsets_that_could_not_join_are_undone_without_asking_what_was_committed(kafka, tmp_path, monkeypatch):
    answers = False

    class Unanswered(confluent_kafka.Producer):
        """The client as it is while the group's coordinator is away: the broker that leads the topics answers."""

        def send_offsets_to_transaction(self, offsets, group, timeout):
            if not answers:
                time.sleep(0.05)
                raise KafkaException(KafkaError(broker_errors.TIMED_OUT, "no coordinator"))
            super().send_offsets_to_transaction(offsets, group, timeout)

    monkeypatch.setattr(transactions, "Client", Unanswered)
    topic = create(kafka, kafka.unique("offsets"))
    producer = make(kafka, tmp_path, transaction_timeout_ms=1_000)
    client = {"bootstrap.servers": kafka.bootstrap_servers}
    member = Consumer({**client, "group.id": kafka.unique("group")})
    offsets = [TopicPartition(topic, 0, 1)]
    producer.send(topic, [b"k"], [b"v"], [1])
    with pytest.raises(BrokerUnavailable, match="offsets could not join the transaction"):
        producer.transaction.send_offsets(offsets, member.consumer_group_metadata())
    broken, answers = producer.transaction.client, True
    assert producer.transaction.abort() is True
    assert producer.transaction.client is not broken
    producer.send(topic, [b"k"], [b"again"], [1])
    producer.transaction.send_offsets(offsets, member.consumer_group_metadata())
    producer.transaction.commit()
    producer.close()
    assert [value for _, value, *_ in read(kafka, topic)] == [b"again"]
    assert [place.offset for place in member.committed(offsets, 20)] == [1]
    member.close()
