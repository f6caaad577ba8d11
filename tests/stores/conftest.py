"""Stores that close with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def closing(tmp_path: Path) -> Iterator[Callable[[Any], Any]]:
    """Take whatever has a `store`, return it, and close that store before the test's directory goes.

    A RocksDB that is collected without its directory tries in vain to flush, and waits a second after each attempt.
    """
    del tmp_path  # asked for so that it outlives this fixture
    taken: list[Any] = []

    def take(opened: Any) -> Any:
        taken.append(opened)
        return opened

    yield take
    for each in taken:
        each.store.close()
