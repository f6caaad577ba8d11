"""Stores that close with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stores.vectors import closed_at_the_end


@pytest.fixture
def closing(tmp_path: Path) -> Iterator[Callable[[Any], Any]]:
    """`closed_at_the_end`, within the life of the test's directory."""
    del tmp_path  # asked for so that it outlives this fixture
    with closed_at_the_end() as take:
        yield take
