"""Kafka Streams' `TopicPartitionMetadata`: the bytes beside a committed offset."""

import base64

import pytest

from engine.changelog.partition_time import PartitionTime, decode, encode


def test_version_2_is_a_byte_and_a_big_endian_long():
    assert base64.b64decode(encode(77_000)) == b"\x02" + (77_000).to_bytes(8, "big")
    assert encode(-1) == base64.b64encode(b"\x02" + b"\xff" * 8).decode()


def test_version_1_is_read():
    assert decode(base64.b64encode(b"\x01" + (5).to_bytes(8, "big")).decode()) == PartitionTime(5)


def test_processors_times_come_back():
    times = (("KSTREAM-AGGREGATE-0000000002", 123), ("é", 2**40))
    assert decode(encode(9, times)) == PartitionTime(9, times)
    raw = base64.b64decode(encode(9, (("a", 1),)))
    assert raw[9:] == b"\0\0\0\x01" + b"\0\0\0\x01a" + (1).to_bytes(8, "big")


@pytest.mark.parametrize("text", [None, "", "not base64", "AA==", base64.b64encode(b"\x09" + b"\0" * 8).decode()])
def test_what_someone_else_wrote_means_unknown(text):
    assert decode(text) == PartitionTime(-1, ())
