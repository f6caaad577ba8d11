"""Opens the store that a StoreSpec describes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import names
from engine.errors import ConfigError
from engine.stores.contract import Store, StoreContext
from engine.stores.key_value import KeyValueStore
from engine.stores.lifecycle import make_backend
from engine.stores.lru import LruStore
from engine.stores.session import SessionStore
from engine.stores.versioned import VersionedStore
from engine.stores.window import WindowStore
from engine.topology.stores import StoreSpec

_KINDS: dict[str, Callable[..., Any]] = {
    "key-value": KeyValueStore,
    "window": WindowStore,
    "session": SessionStore,
    "versioned": VersionedStore,
}


def open_store(spec: StoreSpec, directory: Path | None, context: StoreContext, *, read_only: bool = False) -> Any:
    """Open a store over `directory` (RocksDB; made if missing) or in memory; what was committed there is there again.

    `read_only` is for directories that nobody writes any more: they are not locked, and only `committed()` is of use.

    With a context that names its `application_id` (a task's) the serdes are bound to the store's topic; without one only
    bytes go through the store (a restore, a check of files).

    Raises StateDirectoryLocked if another process holds it, TaskCorrupted if it can't be read or has another layout
    (rebuild it from its changelog), ConfigError for a spec that makes no sense.
    """
    application_id = getattr(context, "application_id", None)
    if application_id is not None:
        spec = bound(spec, application_id)
    if spec.supplier is not None:
        store = spec.supplier(spec, directory, context)
        if not isinstance(store, Store):
            raise ConfigError(
                f"store {spec.name}: its supplier made a {type(store).__name__}, which lacks a part of Store"
            )
        return store
    if spec.backend == "lru" and spec.kind != "key-value":
        raise ConfigError(f"store {spec.name}: an LRU map is a key-value store, not a {spec.kind} store")
    backend = make_backend(spec, directory, read_only=read_only)
    try:
        kind = LruStore if spec.backend == "lru" else _KINDS[spec.kind]
        return kind(spec, backend, context)
    except BaseException:
        backend.close()
        raise


def bound(spec: StoreSpec, application_id: str) -> StoreSpec:
    """The spec with serdes of the topic that the store is restored from, as Kafka Streams' metered stores have them.

    A store without logging uses the name that its changelog would have.
    """
    topic = spec.source_topic or names.changelog_topic(application_id, spec.name)
    key_serde = spec.key_serde and spec.key_serde.for_topic(topic, True)  # noqa: FBT003 - "is it the key?"
    value_serde = spec.value_serde and spec.value_serde.for_topic(topic, False)  # noqa: FBT003 - "is it the key?"
    if key_serde is spec.key_serde and value_serde is spec.value_serde:
        return spec
    return spec.with_(key_serde=key_serde, value_serde=value_serde)
