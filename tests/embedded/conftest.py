import time
from collections.abc import Callable

import psutil
import pytest


@pytest.fixture
def eventually():
    """Wait until a condition holds; fail when it has not within so many seconds."""

    def wait(condition: Callable[[], object], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"did not happen within {seconds} s"
            time.sleep(0.02)

    return wait


@pytest.fixture
def alive():
    """Tell which of these process ids still run (a zombie does not)."""

    def running(pids: list[int]) -> list[int]:
        found = []
        for pid in pids:
            try:
                if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    found.append(pid)
            except psutil.NoSuchProcess:
                continue
        return found

    return running
