"""The opaque cursor of a page: base64url of JSON, bound to the question that it continues.

It holds the partition, the last row's place in the store's order, and a digest of the question, so that a cursor put to
another question is refused instead of skipping rows. Pure functions; any thread.
"""

import base64
import hashlib
from typing import NamedTuple

import msgspec

from engine.query.limits import CURSOR_CHARS_MAX
from engine.query.refusal import bad_request

_REMEDY = "start again without cursor="


class Cursor(NamedTuple):
    """Continue in `partition`: after the row `after`, or from its beginning when that is None."""

    partition: int
    after: bytes | None


class _Wire(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    digest: str
    partition: int
    after: bytes | None


def digest(*parts: object) -> str:
    """A short digest of a question, everything that decides which rows it means and in what order."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=6).hexdigest()


def write(cursor: Cursor, question: str) -> str:
    """Write `cursor` for the question with this digest."""
    wire = _Wire(question, cursor.partition, cursor.after)
    return base64.urlsafe_b64encode(msgspec.json.encode(wire)).rstrip(b"=").decode()


def read(text: str, question: str) -> Cursor:
    """Read a cursor; raise a bad-request Refusal if it is not one, or belongs to another question."""
    if len(text) > CURSOR_CHARS_MAX:
        raise bad_request(f"the cursor is too long: {_REMEDY}")
    try:
        # Strict: urlsafe_b64decode skips characters that are none of its alphabet.
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        wire = msgspec.json.decode(raw, type=_Wire)
    except ValueError as error:
        raise bad_request(f"this is not a cursor of this service: {_REMEDY}") from error
    if wire.digest != question:
        raise bad_request(f"the cursor belongs to another question: keep the other parameters, or {_REMEDY}")
    if wire.partition < 0:
        raise bad_request(f"this is not a cursor of this service: {_REMEDY}")
    return Cursor(wire.partition, wire.after)
