"""What a reader of changelogs is told by its group, on a broker that knows access rules."""

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AclOperation, ResourceType

from engine.changelog.restore import Reader
from engine.errors import StatehouseError
from tests.runtime.harness import create, deny, guarded_broker

pytestmark = pytest.mark.kafka
ANSWER_SECONDS = 20.0


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        guarded_broker(tmp_path_factory.mktemp("kafka"), monkeypatch) as kafka,
    ):
        yield kafka


def test_a_partition_whose_offset_may_not_be_read_is_not_taken_for_one_without(guarded):
    create(guarded, "read")
    create(guarded, "hidden")
    client = {"bootstrap.servers": guarded.bootstrap_servers}
    places = [TopicPartition("read", 0, 7), TopicPartition("hidden", 0, 8)]
    member = Consumer({**client, "group.id": "group"})
    member.commit(offsets=places, asynchronous=False)
    member.close()
    reader = Reader(client, "group")
    try:
        assert [p.offset for p in reader.committed(places, ANSWER_SECONDS)] == [7, 8]
        deny(guarded, ResourceType.TOPIC, "hidden", AclOperation.DESCRIBE)
        with pytest.raises(StatehouseError, match=r"committed offsets could not be read.*uthoriz"):
            reader.committed(places, ANSWER_SECONDS)
    finally:
        reader.close()
