"""Stores that are filled, damaged and read, in a process of its own: RocksDB may spin on a damaged file, holding its process.

    python -m tests.faults.damage KIND FOLDER SEED CASES

Says what it does to a store before it opens it, then what came of it; one JSON line each. A case is named by its seed,
and each begins with a copy of the same store.
"""

import json
import random
import shutil
import sys
from pathlib import Path

from engine import serdes
from engine.errors import TaskCorrupted
from engine.stores import memory_budget, open_store
from engine.stores.backend import EVERYTHING
from engine.topology.stores import StoreSpec
from tests.stores.vectors import Context

ROWS = 4_000
SPECS = {
    "key-value": StoreSpec("s", "key-value", "rocksdb", serdes.string, serdes.string, timestamped=True),
    "window": StoreSpec("s", "window", "rocksdb", serdes.string, serdes.string, window_ms=100, retention_ms=100_000),
}
FILES = ("*.sst", "MANIFEST-*", "CURRENT", "OPTIONS-*", "*.json")
# A record of a MANIFEST begins with so many bytes: checksum, length, type.
HEADER_BYTES = 7


def filled(spec, directory):
    """Make a store of several table files; returns its rows at each position that it had, the last one last, and its changelog.

    The changelog is the records that lead to each position.
    """
    store = open_store(spec.with_(rocksdb={"write_buffer_bytes": 1 << 16}), directory, Context())
    states, changelog = {None: {}}, {}
    for number in range(ROWS):
        store.context.timestamp = number
        key, value = f"key-{number % 1_500:05d}", f"value {number} " * 3
        store.put(key, value, number) if spec.kind == "window" else store.put(key, value)
        if number % 1_000 == 999:
            changelog[number + 1] = store.drain_changelog()
            store.commit(number + 1)
            store.flush()
            states[store.position] = rows_of(store)
    store.close()
    return states, changelog


def rows_of(store, **bounds):
    """Rows by family, of those that have any."""
    backend = store.backend
    found = {name: list(backend.scan(name, EVERYTHING._replace(**bounds))) for name in backend.families()}
    return {name: rows[::-1] if bounds else rows for name, rows in found.items() if rows}


def damage(directory, chance):
    """Flip a bit of, or cut, one file; returns its kind and what was done, in words."""
    kind = chance.choice(FILES)
    file = chance.choice(sorted(directory.glob(kind)))
    content = bytearray(file.read_bytes())
    place = chance.randrange(len(content))
    if kind == "MANIFEST-*" and chance.random() < 0.5:
        # Headers are few of its bytes, and what a reader goes by.
        place = chance.choice([at + chance.randrange(HEADER_BYTES) for at in records_of(content)])
    if chance.random() < 0.75:
        content[place] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
        return kind, f"a bit of byte {place} of {file.name} flipped"
    file.write_bytes(content[:place])
    return kind, f"{file.name} cut to {place} bytes"


def records_of(manifest):
    """Where the records of a MANIFEST begin, of one that fits into a block."""
    at = 0
    while at < len(manifest):
        yield at
        at += HEADER_BYTES + int.from_bytes(manifest[at + 4 : at + 6], "little")


def answers(spec, directory, states):
    """The position, what lies before it, and every way to read the store, each as it answers or as the refusal."""
    store = open_store(spec, directory, Context())
    try:
        backend, expected = store.backend, states[store.position]
        ways = [
            lambda: rows_of(store),
            lambda: rows_of(store, reverse=True),
            lambda: {
                name: list(zip(keys, backend.get_many(name, keys), strict=True))
                for name, rows in expected.items()
                for keys in [[key for key, _ in rows]]
            },
            lambda: {n: found for n in backend.families() if (found := backend.page(n, EVERYTHING, ROWS))},
        ]
        yield store.position, expected
        for way in ways:
            try:
                yield way()
            except TaskCorrupted as error:
                yield error
    finally:
        store.close()


def mended(spec, copy, changelog):
    """The rows after the replay that every store goes through before it is read: from its position to the end."""
    store = open_store(spec, copy, Context())
    try:
        for position, records in changelog.items():
            if store.position is None or position > store.position:
                store.restore(records, position)
        return rows_of(store)
    finally:
        store.close()


def outcome(spec, copy, states, changelog):
    """What reading a damaged store came to: refused, of an earlier time, ahead of its position, harmless, or wrong."""
    try:
        (position, expected), *found = answers(spec, copy, states)
    except TaskCorrupted:
        return "refused"
    # A MANIFEST cut between two of its entries is a whole one of an earlier time: its store replays the rest.
    if any(not isinstance(a, TaskCorrupted) and a != expected for a in found):
        # Cut between the rows' flush and their position's: the replay writes again what is there.
        right = mended(spec, copy, changelog) == states[ROWS]
        return "ahead" if right else f"wrong at position {position}"
    if any(isinstance(a, TaskCorrupted) for a in found):
        try:
            open_store(spec, copy, Context()).close()
        except TaskCorrupted as error:
            return "refused" if "rebuilt" in str(error) else f"wrong: {error}"
        return "wrong: opened again although it was found damaged"
    return "harmless" if expected == states[ROWS] else "older"


def main(kind, folder, seed, cases):
    spec, folder = SPECS[kind], Path(folder)
    states, changelog = filled(spec, folder / "whole")
    for case in range(int(cases)):
        copy = folder / "copy"
        shutil.copytree(folder / "whole", copy)
        file, done = damage(copy, random.Random(int(seed) + case))
        # Blocks that the process read before would answer for the damaged ones: RocksDB knows a copied file again.
        memory_budget.block_cache.cache_clear()
        print(json.dumps({"seed": int(seed) + case, "file": file, "done": done}), flush=True)
        print(json.dumps({"outcome": outcome(spec, copy, states, changelog)}), flush=True)
        shutil.rmtree(copy)


if __name__ == "__main__":
    main(*sys.argv[1:])
