"""How many reads a second the service answers, and how late, beside a loop thread that never waits (DESIGN §6).

    uv run python -m tests.query.measure [--seconds 5] [--clients 8] [--backend rocksdb] [--multi-get 1]

The clients are another process with keep-alive connections, each asking its next key when the last one is answered.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

from engine import serdes
from engine.query.metadata import Metadata
from engine.query.service import QueryService, listen
from engine.topology.stores import StoreSpec
from tests.query.fakes import TOKEN, FakeHandle, FakeInstance, store_of

KEYS = 200_000


def busy(ends, turns):
    """Stand in for the loop: pure Python work on dicts, without end."""
    counts = {}
    number = 0
    while not ends.is_set():
        for key in range(5_000):
            counts[key] = counts.get(key, 0) + number
        number += 1
        turns[0] += 5_000


async def client(port, ends_at, latencies):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f" HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
    while time.perf_counter() < ends_at:
        key = f"key-{random.randrange(KEYS):06d}"
        started = time.perf_counter()
        writer.write(f"GET /v1/stores/counts/entries?key={key}{head}".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        latencies.append(time.perf_counter() - started)
        assert key.encode() in body
    writer.close()


def clients(port, count, seconds, results):
    import uvloop

    async def all_clients():
        latencies = []
        await asyncio.gather(*(client(port, time.perf_counter() + seconds, latencies) for _ in range(count)))
        return latencies

    results.put(uvloop.run(all_clients()))


def measure(port, count, seconds):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=clients, args=(port, count, seconds, results))
    process.start()
    latencies = sorted(results.get())
    process.join()
    return len(latencies) / seconds, latencies[int(len(latencies) * 0.5)], latencies[int(len(latencies) * 0.99)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--backend", choices=["rocksdb", "memory"], default="rocksdb")
    options = parser.parse_args()
    spec = StoreSpec("counts", "key-value", options.backend, serdes.string, serdes.int64)
    with tempfile.TemporaryDirectory() as scratch:
        store = store_of(spec, [(f"key-{n:06d}", n) for n in range(KEYS)], Path(scratch) / "counts")
        instance = FakeInstance()
        instance.hold(FakeHandle(spec, 0, store), partitions=1)
        default = sys.getswitchinterval()
        service = QueryService(instance, Metadata(), TOKEN, listen("127.0.0.1", 0))
        service.start()
        short = sys.getswitchinterval()
        port = int(service.address.rsplit(":", 1)[1])
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.backend}, {options.clients} clients")
        for name, interval, is_busy in (
            ("idle", short, False),
            ("busy loop, 5 ms", default, True),
            ("busy loop", short, True),
        ):
            sys.setswitchinterval(interval)
            ends, turns = threading.Event(), [0]
            loop = threading.Thread(target=busy, args=(ends, turns), daemon=True)
            if is_busy:
                loop.start()
            cpu = resource.getrusage(resource.RUSAGE_SELF)
            before = cpu.ru_utime + cpu.ru_stime
            rate, middle, late = measure(port, options.clients, options.seconds)
            cpu = resource.getrusage(resource.RUSAGE_SELF)
            spent = cpu.ru_utime + cpu.ru_stime - before
            ends.set()
            print(
                f"{name:18} {rate:8,.0f} reads/s  p50 {middle * 1e3:6.2f} ms  p99 {late * 1e3:6.2f} ms  "
                f"cpu {spent:.1f} s  loop {turns[0] / options.seconds / 1e6:.1f} M turns/s"
            )
            if is_busy:
                loop.join()
        service.stop()
        store.close()


if __name__ == "__main__":
    main()
