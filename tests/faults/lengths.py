"""How long a fault test runs: a short version with every suite, the long one behind `-m soak`.

`SOAK_SHARE` (0 to 1) shortens the long ones; `SOAK_SEED` replaces the seed that a test prints.
"""

import math
import os

import pytest

SOAK_SECONDS_MAX = 6 * 3600
SEED = int(os.environ.get("SOAK_SEED", "20130101"))


def of_soak(full: float) -> int:
    """A long version's amount, as far as the environment shortens it; at least 1."""
    return max(1, math.ceil(full * float(os.environ.get("SOAK_SHARE", "1"))))


def lengths(name: str, short: float, full: float) -> pytest.MarkDecorator:
    """Run a test with `name` at `short` always, at `full` in a soak."""
    long = [pytest.mark.soak, pytest.mark.timeout(SOAK_SECONDS_MAX)]
    return pytest.mark.parametrize(
        name, [pytest.param(short, id="short"), pytest.param(of_soak(full), id="soak", marks=long)]
    )
