"""Bounds of ranges of keys, against all the keys that there can be."""

from itertools import product

import pytest

from engine.stores import layouts


def words(size_max):
    return [bytes(word) for size in range(size_max + 1) for word in product((0, 1, 2), repeat=size)]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_key_up_to_the_last_of_a_range_lies_behind_its_end(size):
    """A key that is a prefix of the last one can sort behind it, once its suffix follows."""
    keys, suffixes = words(4), [bytes(word) for word in product((0, 1, 2), repeat=size)]
    for suffix in suffixes:
        behind = b""
        for key in sorted(keys):
            behind = max(behind, key + suffix)
            assert layouts.key_range_end(key, suffix) == behind
