"""Bytes of the messages and subscriptions of foreign-key joins, as Kafka Streams writes them.

Subscription (SubscriptionWrapper, version 1): `version | 0x80 if there is no hash, instruction, 16 bytes of hash, primary
key, int32 partition of the primary key`. Response (SubscriptionResponseWrapper, version 0): `version | 0x80 if there is
no hash, hash, foreign value`. Subscriptions are kept under `int32 size of the foreign key ++ foreign key ++ primary key`.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

import mmh3

from engine.errors import DeserializationError
from engine.serdes.serde import Serde

_INT = struct.Struct(">i")
_LONGS = struct.Struct(">QQ")
_NO_HASH = 0x80
_SUBSCRIPTION_VERSION = 1
_RESPONSE_VERSION = 0
# The seed of the 128-bit murmur3 that upstream took over from Apache Hive.
_SEED = 104729


class Instruction(IntEnum):
    """What the right side does with a subscription."""

    DELETE_KEY_NO_PROPAGATE = 0
    DELETE_KEY_AND_PROPAGATE = 1
    PROPAGATE_NULL_IF_NO_FK_VAL_AVAILABLE = 2
    PROPAGATE_ONLY_IF_FK_VAL_AVAILABLE = 3


class Subscription(NamedTuple):
    """A left row's interest in a right row; `digest` is that of the left row's value, None for a deleted row."""

    digest: bytes | None
    instruction: Instruction
    primary_key: bytes
    partition: int


class Answer(NamedTuple):
    """The right side's answer: the digest it was asked with, and the right row's value or None.

    `partition` is where the left row lives; it steers the answer and is not part of its bytes.
    """

    digest: bytes | None
    value: bytes | None
    partition: int = 0


def digest(value: bytes | None) -> bytes | None:
    """16 bytes that tell a left row's value apart from its later ones."""
    return None if value is None else _LONGS.pack(*mmh3.hash64(value, seed=_SEED, x64arch=True, signed=False))


def encode_subscription(subscription: Subscription) -> bytes:
    """The bytes of a subscription."""
    head = _SUBSCRIPTION_VERSION | (_NO_HASH if subscription.digest is None else 0)
    return b"".join(
        (
            bytes((head, subscription.instruction)),
            subscription.digest or b"",
            subscription.primary_key,
            _INT.pack(subscription.partition),
        )
    )


def decode_subscription(data: bytes) -> Subscription:
    """Read what `encode_subscription` wrote; raises DeserializationError for another version."""
    head = data[0]
    if head & ~_NO_HASH > _SUBSCRIPTION_VERSION:
        raise DeserializationError(f"a subscription has version {head & ~_NO_HASH}: upgrade this instance first")
    has_hash = not head & _NO_HASH
    at = 18 if has_hash else 2
    partition = _INT.unpack_from(data, len(data) - 4)[0] if head & ~_NO_HASH else 0
    end = len(data) - 4 if head & ~_NO_HASH else len(data)
    return Subscription(data[2:18] if has_hash else None, Instruction(data[1]), data[at:end], partition)


def encode_answer(answer: Answer) -> bytes:
    """The bytes of an answer."""
    head = _RESPONSE_VERSION | (_NO_HASH if answer.digest is None else 0)
    return bytes((head,)) + (answer.digest or b"") + (answer.value or b"")


def decode_answer(data: bytes) -> Answer:
    """Read what `encode_answer` wrote; an empty value is no value, as upstream."""
    if data[0] & ~_NO_HASH != _RESPONSE_VERSION:
        raise DeserializationError(f"an answer has version {data[0] & ~_NO_HASH}: upgrade this instance first")
    at = 1 if data[0] & _NO_HASH else 17
    return Answer(None if at == 1 else data[1:17], data[at:] or None)


def subscription_prefix(foreign_key: bytes) -> bytes:
    """What all subscriptions of a foreign key start with."""
    return _INT.pack(len(foreign_key)) + foreign_key


def primary_key_of(subscription_key: bytes) -> bytes:
    """The primary key within a subscription's key."""
    return subscription_key[4 + _INT.unpack_from(subscription_key)[0] :]


class SubscriptionSerde(Serde):
    """Serde of the registration topic's values."""

    name = "subscription"
    immutable = True

    def serialize(self, value: Subscription) -> bytes:
        """The bytes of a subscription."""
        return encode_subscription(value)

    def deserialize(self, data: bytes) -> Subscription:
        """The subscription in these bytes."""
        return decode_subscription(data)


class AnswerSerde(Serde):
    """Serde of the response topic's values."""

    name = "answer"
    immutable = True

    def serialize(self, value: Answer) -> bytes:
        """The bytes of an answer, without the partition it goes to."""
        return encode_answer(value)

    def deserialize(self, data: bytes) -> Answer:
        """The answer in these bytes."""
        return decode_answer(data)
