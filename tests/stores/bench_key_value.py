"""What a key costs in each step of a count's commit: `uv run python -m tests.stores.bench_key_value`.

Batches of 20,000 records over a set of keys, in random order and as fresh bytes objects, as a consumer gives them. Times are
of this thread's processor, per distinct key of a batch, once the object cache is warm (and, first, while it is cold).
"""

from __future__ import annotations

import argparse
import gc
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from engine import serdes
from engine.stores import open_store
from engine.topology.stores import StoreSpec
from tests.stores.vectors import Context

BATCH = 20_000
STEPS = ("fetch", "count", "write", "drain", "commit")


def measure(backend, keys, *, caching, batches):
    with tempfile.TemporaryDirectory() as directory:
        spec = StoreSpec("s", "key-value", backend, serdes.string, serdes.int64, timestamped=True, caching=caching)
        store = open_store(spec, Path(directory), Context())
        pool = [b"key-%08d" % number for number in range(keys)]
        rng = random.Random(1)
        warm_from = batches // 2
        cold, warm = Counter(), Counter()
        for number in range(batches):
            counts = Counter(bytes(bytearray(key)) for key in rng.choices(pool, k=BATCH))
            names = list(counts)
            clock = [time.thread_time()]
            found = store.fetch_column(names)
            clock.append(time.thread_time())
            values = [(entry[0] if entry else 0) + count for entry, count in zip(found, counts.values(), strict=True)]
            stamps = [number] * len(names)
            clock.append(time.thread_time())
            store.write_columns(names, values, stamps)
            clock.append(time.thread_time())
            store.drain_changelog()
            clock.append(time.thread_time())
            store.commit(number)
            clock.append(time.thread_time())
            into = warm if number >= warm_from else cold
            for step, start, end in zip(STEPS, clock[:-1], clock[1:], strict=True):
                into[step] += end - start
            into["keys"] += len(names)
        store.close()
        return cold, warm


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=80)
    arguments = parser.parse_args()
    # As the engine does: what lives long is not looked at again at each collection.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    for backend in ("rocksdb", "memory"):
        for keys in (20_000, 200_000):
            for caching in (True, False):
                for name, spent in zip(
                    ("cold", "warm"), measure(backend, keys, caching=caching, batches=arguments.batches), strict=True
                ):
                    steps = {step: round(spent[step] / spent["keys"] * 1e9) for step in STEPS if step != "count"}
                    without = sum(steps.values()) - steps["commit"]
                    print(f"{backend} {keys:,} keys caching={caching} {name}: {steps} ns; without commit {without} ns")


if __name__ == "__main__":
    main()
