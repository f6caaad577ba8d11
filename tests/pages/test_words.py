"""How long ago something was, in one unit."""

import pytest

from console.templatetags.statehouse import ago

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("before_ms", "words"),
    [(400, "now"), (59_000, "59 s ago"), (47 * 3_600_000, "47 h ago"), (2 * DAY_MS, "2 d ago"), (729 * DAY_MS, "729 d ago"), (5_077 * DAY_MS, "13 y ago")],
)  # fmt: skip
def test_a_moment_is_told_in_one_unit(before_ms: int, words: str) -> None:
    now_ms = 1_800_000_000_000
    assert ago(now_ms - before_ms, now_ms) == words
