import shutil
from io import BytesIO
from pathlib import Path

import pytest

from engine import serdes
from engine.errors import TaskCorrupted
from engine.stores import manifest, open_store
from engine.topology.stores import StoreSpec
from tests.stores.vectors import Context

SPEC = StoreSpec("s", "key-value", "rocksdb", serdes.string, serdes.string)
BLOCK_BYTES = 32 * 1024


def file_in(directory):
    (file,) = directory.glob("MANIFEST-*")
    return file


def filled(directory, commits, key="key"):
    store = open_store(SPEC, directory, Context())
    for number in range(commits):
        store.put(f"{key}-{number}", "value")
        store.drain_changelog()
        store.commit(number + 1)
        store.flush()
    store.close()
    return file_in(directory).read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole") / "g1"
    filled(directory, 3)
    return directory


@pytest.fixture
def copy(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "g1")
    return tmp_path / "g1"


def records(content):
    """Where each record begins and ends, within one block."""
    at = 0
    while at < len(content):
        end = at + 7 + int.from_bytes(content[at + 4 : at + 6], "little")
        yield at, end
        at = end


def test_every_flipped_bit_is_noticed_but_those_of_a_length_that_then_passes_the_end(whole):
    content = file_in(whole).read_bytes()
    assert len(content) < BLOCK_BYTES
    missed = []
    for at, end in records(content):
        for place in range(at, end):
            for bit in range(8):
                flipped = bytearray(content)
                flipped[place] ^= 1 << bit
                noticed = [found for found, _ in manifest._faults(BytesIO(flipped))][:1]
                # Then it looks like a record that was being written: the store is one of an earlier time.
                passes_the_end = at + 7 + int.from_bytes(flipped[at + 4 : at + 6], "little") > len(content)
                if noticed != ([] if passes_the_end else [at]):
                    missed.append((place, bit))
    assert missed == []


def test_a_record_that_was_being_written_is_no_damage(copy):
    file = file_in(copy)
    content = file.read_bytes()
    for size in range(len(content)):
        file.write_bytes(content[:size])
        manifest.check(copy)
    store_position = None
    for _, end in list(records(content))[-4:]:
        file.write_bytes(content[: end - 1])
        position = position_of(copy)
        assert store_position is None or position >= store_position
        store_position = position


def position_of(directory):
    """Of a copy, since opening writes the MANIFEST anew."""
    there = directory.with_name("opened")
    shutil.copytree(directory, there)
    store = open_store(SPEC, there, Context())
    try:
        return store.position
    finally:
        store.close()
        shutil.rmtree(there)


def test_room_given_in_advance_is_no_damage_unless_something_stands_behind_it(copy):
    file = file_in(copy)
    content = file.read_bytes()
    file.write_bytes(content + bytes(100_000))
    manifest.check(copy)
    assert position_of(copy) == 3
    file.write_bytes(content + bytes(100) + content)
    with pytest.raises(manifest.Damaged, match=f"byte {len(content)}: zeros"):
        manifest.check(copy)


def test_records_of_several_blocks(tmp_path):
    directory = tmp_path / "g1"
    # Each table file stands there with its first and last key.
    content = filled(directory, 6, key="k" * 4_000)
    assert len(content) > BLOCK_BYTES + 1_000
    manifest.check(directory)
    for place in (BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 6):
        flipped = bytearray(content)
        flipped[place] ^= 4
        file_in(directory).write_bytes(flipped)
        with pytest.raises(manifest.Damaged):
            manifest.check(directory)
    # A length that leads out of a block is no record that was being written: the block is whole.
    flipped = bytearray(content)
    flipped[5] ^= 0x80
    file_in(directory).write_bytes(flipped)
    with pytest.raises(manifest.Damaged, match="byte 0: a record that crosses"):
        manifest.check(directory)


@pytest.mark.parametrize("content", [b"", b"MANIFEST-000005", b"MANIFEST-999999\n", b"MANIFEST-00000u\n", b"\0" * 16])
def test_a_current_file_names_a_manifest(copy, content):
    (copy / "CURRENT").write_bytes(content)
    with pytest.raises(TaskCorrupted, match=r"CURRENT is damaged.*rebuilt from its changelog"):
        open_store(SPEC, copy, Context())


def test_what_rocksdb_would_spin_on_is_a_store_to_be_rebuilt(copy):
    file = file_in(copy)
    content = bytearray(file.read_bytes())
    *_, (last, _) = records(content)
    # 1, a full record, becomes 5, one of a recycled log.
    content[last + 6] ^= 4
    file.write_bytes(content)
    with pytest.raises(TaskCorrupted, match=rf"{file.name} is damaged at byte {last}.*rebuilt from its changelog"):
        open_store(SPEC, Path(copy), Context())
