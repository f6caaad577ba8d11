"""An engine at a third of its load for hours: memory and descriptors stay flat."""

import time
from math import sqrt
from statistics import fmean, median

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.faults.lengths import SOAK_SECONDS_MAX, of_soak
from tests.runtime import programs
from tests.runtime.harness import EngineProcess, committed_offsets, config, create, eventually

pytestmark = [pytest.mark.soak, pytest.mark.timeout(SOAK_SECONDS_MAX)]
FULL_SECONDS = 2 * 3600
# An engine counts some 100,000 records a second here when it has nothing else to do.
RECORDS_PER_SECOND = 30_000
QUEUED_MAX = 60_000
KEYS = 50_000
SAMPLE_SECONDS = 10
BLOCK = 30  # samples
# An engine that is behind holds up to its fetch buffers in addition (64 MiB): such samples say nothing about a leak.
LAG_MAX = 5 * RECORDS_PER_SECOND
SHOWN = 12
SLOPE_ERROR_MIB_PER_HOUR_MAX = 0.5
# RocksDB keeps blocks of files that are gone until the room is wanted: a cache of the default size (256 MiB) takes three hours
# of this load to fill, and until then nothing but its filling would be measured.
BLOCK_CACHE_BYTES = 16 << 20
WARM_SECONDS = 3600
SLOPE_MIB_PER_HOUR_MAX = 1.0
MIB = 1 << 20


def slope(samples):
    """Least squares: units of the second column per unit of the first, and the standard error of that."""
    mean_x, mean_y = (sum(column) / len(samples) for column in zip(*samples, strict=True))
    width = sum((x - mean_x) ** 2 for x, _ in samples)
    rises = sum((x - mean_x) * (y - mean_y) for x, y in samples) / width
    left = sum((y - mean_y - rises * (x - mean_x)) ** 2 for x, y in samples)
    return rises, sqrt(left / max(len(samples) - 2, 1) / width)


def in_blocks(samples):
    """The mean of every `BLOCK` samples in turn: memtables fill and are written, so that neighbours resemble each other."""
    whole = [samples[at : at + BLOCK] for at in range(0, len(samples), BLOCK)]
    return [tuple(map(fmean, zip(*block, strict=True))) for block in whole if len(block) == BLOCK]


def told(blocks):
    """Blocks as a line of a table each, for whoever asks what the slope is made of."""
    return "\n".join(f"{hours:.2f} h: {mib:.1f} MiB" for hours, mib in blocks)


def descriptors(process):
    """How many of its descriptors are table files, which come and go with compactions, and how many are anything else."""
    tables = sum(file.path.endswith(".sst") for file in process.open_files())
    return tables, process.num_fds() - tables


def test_a_slope_is_that_of_the_line():
    assert slope([(x, 3 * x + 7) for x in range(10)]) == (pytest.approx(3), pytest.approx(0))
    rises, error = slope([(x, 3 * x + (1, -1)[x % 2]) for x in range(100)])
    assert abs(rises - 3) < 2 * error < 0.02
    assert in_blocks([(x, 2 * x) for x in range(2 * BLOCK + 1)]) == [
        (pytest.approx(at), pytest.approx(2 * at)) for at in (BLOCK / 2 - 0.5, 1.5 * BLOCK - 0.5)
    ]


def test_memory_and_descriptors_stay_flat_for_hours(kafka, tmp_path):
    seconds = of_soak(FULL_SECONDS)
    name = kafka.unique("soak")
    bounded = {"retention.bytes": str(256 << 20), "segment.bytes": str(64 << 20)}
    create(kafka, programs.input_topic(name), partitions=2, config=bounded)
    create(kafka, programs.output_topic(name), partitions=2, config=bounded)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 20})
    watcher = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": name})
    places = [TopicPartition(programs.input_topic(name), p) for p in (0, 1)]
    samples, sent = [], 0
    settings = config(kafka, name, tmp_path / "state", block_cache_bytes=BLOCK_CACHE_BYTES)
    with EngineProcess("counts", settings) as engine:
        process = psutil.Process(engine.process.pid)
        began = sampled = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            # A broker that does not keep up is given less: what an engine does at its own pace is the question here.
            room = QUEUED_MAX - len(producer)
            for _ in range(min(int(elapsed * RECORDS_PER_SECOND) - sent, room)):
                producer.produce(programs.input_topic(name), b"v", f"key-{sent % KEYS}".encode())
                sent += 1
            producer.poll(0.05)
            if time.monotonic() - sampled >= SAMPLE_SECONDS:
                sampled = time.monotonic()
                lag = sent - sum(max(place.offset, 0) for place in watcher.committed(places, 20))
                samples.append((elapsed / 3600, process.memory_info().rss / MIB, *descriptors(process), lag))
                if len(samples) % SHOWN == 1:
                    print(
                        "{:.2f} h: {:.0f} MiB, {} table files, {} other descriptors, {:,} behind".format(*samples[-1])
                    )
        assert producer.flush(60) == 0
        eventually(
            lambda: sum(committed_offsets(kafka, name, programs.input_topic(name), 2).values()) == sent, "lag 0", 300
        )
        end = process.memory_info().rss / MIB
    watcher.close()
    warm = [s for s in samples if s[0] * 3600 >= min(WARM_SECONDS, seconds / 2) and s[-1] <= LAG_MAX]
    assert len(warm) > 1, "the engine was never up to date: this machine has no time for it"
    blocks = in_blocks([(hours, mib) for hours, mib, *_ in warm])
    rising, error = slope(blocks) if len(blocks) > 2 else (0.0, 0.0)
    print(told(in_blocks([(hours, mib) for hours, mib, *_, lag in samples if lag <= LAG_MAX])))
    quarter = max(len(warm) // 4, 1)
    before, after = (median(sample[3] for sample in part) for part in (warm[:quarter], warm[-quarter:]))
    print(
        f"{sent:,} records in {seconds} s; {warm[0][1]:.0f} to {warm[-1][1]:.0f} MiB, {rising:+.1f} ± {error:.1f} MiB/h after warming up "
        f"({len(warm)} samples), {end:.0f} MiB at the end; {before:.0f} to {after:.0f} descriptors that are not of table "
        f"files, of which there were {max(sample[2] for sample in samples)} at most"
    )
    assert after <= before + 2
    # Over minutes the slope is that of caches that still fill.
    if seconds > 1.5 * WARM_SECONDS:
        assert error <= SLOPE_ERROR_MIB_PER_HOUR_MAX, "too much ran beside it for a slope to be told: run it alone"
        assert rising <= SLOPE_MIB_PER_HOUR_MAX
