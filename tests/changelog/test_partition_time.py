"""Kafka Streams' `TopicPartitionMetadata`: the bytes beside a committed offset."""

import base64

import pytest

from engine.changelog.partition_time import PartitionTime, beside, decode, encode


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


@pytest.mark.parametrize("times", [(), (("KSTREAM-AGGREGATE-0000000002", 123),), (("a", 1), ("bc", 2))])
@pytest.mark.parametrize("behind", ["U", "UUUU", "==", "\x03", "AAAAAAAA", "//////////////////////8="])
def test_what_the_client_read_beyond_the_text_is_left_out(times, behind):
    assert decode(encode(9, times) + behind) == PartitionTime(9, times)


class Unterminated:
    """A committed offset as the client gives it when the bytes behind its metadata are no text."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @property
    def metadata(self) -> str:
        return self.raw.decode()


@pytest.mark.parametrize("times", [(), (("a", 1),)])
def test_bytes_behind_the_text_that_are_no_text_are_left_out(times):
    assert beside(Unterminated(encode(9, times).encode() + b"\xb3U")) == PartitionTime(9, times)
