"""Whether a RocksDB directory's CURRENT and MANIFEST are whole, looked at before RocksDB reads them.

RocksDB 10.4.2 (rocksdict 0.3.29) does not return from listing the column families when one bit of a MANIFEST turns a
record's type into one of recycled logs: it spins, holding the interpreter. And a run of zeros in its middle ends one of
its blocks without a word. Used by `rocks_backend` alone. Pure functions of the files; any thread.

A MANIFEST is a log of records in blocks of 32 KiB (`db/log_format.h`); a record never crosses a block's end:

    4 bytes  CRC32C of type and payload, masked      2 bytes  length of the payload      1 byte  type      payload
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from google_crc32c import value as crc32c

_BLOCK_BYTES = 32 * 1024
_HEADER = struct.Struct("<IHB")
_TYPE_AT = 6
# Full, first, middle, last: all that RocksDB writes into a MANIFEST. Types 5 to 8, of recycled logs, are what it spins on.
_TYPES = range(1, 5)
_MASK_DELTA = 0xA282EAD8
_NAME = re.compile(rb"(MANIFEST-\d+)\n")


class Damaged(Exception):
    """A file is not as RocksDB wrote it; the message names it and the place, without what to do."""


def check(directory: Path) -> None:
    """Raise Damaged unless CURRENT names a MANIFEST that is whole, and OSError if either cannot be read.

    A record cut short by the end of the file is whole enough: it was being written when its process died, and RocksDB
    goes by what stands before it. So it does when a damaged length points behind the end of the file: the store is then
    one of an earlier time, with the position of that time.
    """
    content = (directory / "CURRENT").read_bytes()
    named = _NAME.fullmatch(content)
    if named is None:
        raise Damaged(f"CURRENT is damaged: {content[:40]!r} names no MANIFEST")
    path = directory / named[1].decode()
    if not path.exists():
        raise Damaged(f"CURRENT is damaged: it names {path.name}, which is missing")
    with path.open("rb") as file:
        for place, what in _faults(file):
            raise Damaged(f"{path.name} is damaged at byte {place}: {what}")


def _faults(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Where a file is not a log, and how, block by block."""
    start = 0
    block = file.read(_BLOCK_BYTES)
    while block:
        following = file.read(_BLOCK_BYTES)
        at = 0
        # What is too short for a header fills up a block, or is the beginning of one.
        while len(block) - at >= _HEADER.size:
            masked, length, kind = _HEADER.unpack_from(block, at)
            end = at + _HEADER.size + length
            if not (masked or length or kind):
                # Room that the file system gave in advance; nothing may stand behind it.
                if any(block[at:]) or any(following):
                    yield start + at, "zeros between its records"
                break
            if kind not in _TYPES:
                yield start + at, f"no record of a MANIFEST has type {kind}"
            if end > len(block):
                if following or len(block) == _BLOCK_BYTES:
                    yield start + at, "a record that crosses the end of its block"
                break
            if _unmasked(masked) != crc32c(block[at + _TYPE_AT : end]):
                yield start + at, "the checksum of a record does not match"
            at = end
        start += len(block)
        block = following


def _unmasked(checksum: int) -> int:
    rotated = (checksum - _MASK_DELTA) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF
