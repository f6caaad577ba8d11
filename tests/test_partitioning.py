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


class SplittableRandom:
    """`java.util.SplittableRandom(0).nextBytes`, from its published algorithm, for Kafka's own checksum test."""

    def __init__(self, seed):
        self._seed = seed

    def _next_long(self):
        mask = (1 << 64) - 1
        self._seed = (self._seed + 0x9E3779B97F4A7C15) & mask
        z = self._seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    def next_bytes(self, length):
        longs, rest = divmod(length, 8)
        filled = b"".join(self._next_long().to_bytes(8, "little") for _ in range(longs))
        return filled + (self._next_long().to_bytes(8, "little")[:rest] if rest else b"")


def test_the_checksum_of_kafkas_own_test_over_every_length_is_met():
    random = SplittableRandom(0)
    total = sum(murmur2(random.next_bytes(length)) & 0xFFFFFFFF for length in range(1001) for _ in range(100))
    assert total == 0xC3B8CF7C99FC
