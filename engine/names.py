"""Names of applications, stores, topics and instances: one rule, checked before a path or a topic is made of them."""

from __future__ import annotations

import re

from engine.errors import ConfigError
from engine.limits import NAME_LENGTH_MAX, TOPIC_LENGTH_MAX

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def check_name(name: str, what: str) -> str:
    """Return `name` if it may name a topic, a directory and a store; raise ConfigError otherwise.

    The rule is Kafka's for topics (letters, digits, `.`, `_`, `-`; not `.` or `..`), with room left for suffixes.
    """
    return _checked(name, what, NAME_LENGTH_MAX)


def check_topic(name: str) -> str:
    """Return `name` if Kafka can have a topic of that name; raise ConfigError otherwise."""
    return _checked(name, "topic", TOPIC_LENGTH_MAX)


def _checked(name: str, what: str, length_max: int) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in {".", ".."}:
        raise ConfigError(f"{what} {name!r} is not a usable name: use letters, digits, '.', '_' and '-'")
    if len(name) > length_max:
        raise ConfigError(f"{what} {name[:40]!r}… has {len(name)} characters: use at most {length_max}")
    return name


def changelog_topic(application_id: str, store: str) -> str:
    """Kafka Streams' name of a store's changelog topic."""
    return f"{application_id}-{store}-changelog"


# The two topics of a foreign-key join, which upstream names without the suffix that other internal topics carry.
FOREIGN_KEY_SUFFIXES = ("-subscription-registration-topic", "-subscription-response-topic")


def repartition_topic(application_id: str, name: str) -> str:
    """Kafka Streams' name of an internal topic between sub-topologies."""
    if name.endswith(FOREIGN_KEY_SUFFIXES):
        return f"{application_id}-{name}"
    return f"{application_id}-{name}-repartition"


def tasks_topic(application_id: str) -> str:
    """The topic whose partitions stand for tasks; the group protocol hands them out."""
    return f"{application_id}-tasks"
