"""murmur2 against the published hashes and the independently computed ones of the conformance vectors (section I1)."""

import pytest

from engine.partitioning import murmur2, partition_for

PUBLISHED = [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]


@pytest.mark.parametrize(("key", "expected"), PUBLISHED)
def test_murmur2_gives_the_hashes_that_kafka_publishes(key, expected):
    assert murmur2(key) == expected


@pytest.mark.parametrize(
    ("text", "hashed", "partitions"),
    [
        ("", 275646681, [0, 3, 9, 9]),
        ("ab", 316155434, [2, 2, 2, 26]),
        ("the-key", -750721532, [0, 0, 0, 36]),
        ("user-1", 1404122828, [2, 2, 8, 44]),
        ("user-42", 1459644460, [1, 4, 4, 28]),
        ("日本", -700811021, [0, 3, 3, 3]),
    ],
)
def test_a_key_goes_to_the_partition_that_java_gives_it(text, hashed, partitions):
    key = text.encode()
    assert murmur2(key) == hashed
    assert [partition_for(key, count) for count in (3, 6, 12, 48)] == partitions
