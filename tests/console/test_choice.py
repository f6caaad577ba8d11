import pytest

from console.observe import choice, store_shapes
from console.observe.choice import Choice, Item

ITEMS = [
    Item("0", 0, "engine-1", "running", lag=5, bytes=10),
    Item("1", 1, "engine-2", "running", lag=None, bytes=30),
    Item("2", 2, None, "moving"),
    Item("10", 10, "engine-2", "stalled", lag=900, bytes=20),
    Item("12", 12, "other-21", "running", lag=0, bytes=0),
]


def numbers(**asked):
    return [ITEMS[place].number for place in choice.pick(ITEMS, Choice(**asked)).places]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("1", [1]),  # a number is a partition, not a part of one
        ("1-10", [1, 2, 10]),
        ("1 – 2", [1, 2]),  # noqa: RUF001 - as people write ranges
        ("1..2", [1, 2]),
        ("engine", [0, 1, 10]),
        ("ENGINE-2", [1, 10]),
        ("-21", [12]),
        ("999999999999", []),
        ("10-1", []),
    ],
)
def test_words_are_a_partition_a_range_or_a_part_of_a_name(words, expected):
    assert numbers(words=words) == expected


def test_a_state_narrows_and_an_order_puts_what_is_not_known_last():
    assert numbers(state="running") == [0, 1, 12]
    assert numbers(order="lag")[:3] == [10, 0, 12]
    assert set(numbers(order="lag")[3:]) == {1, 2}
    assert numbers(order="size", state="running") == [1, 0, 12]


def test_pages_are_full_but_the_last_and_a_number_leads_to_its_page():
    second = choice.pick(ITEMS, Choice(size=2, page=1))
    assert [ITEMS[place].number for place in second.places] == [2, 10]
    assert second.as_facts() == {"total": 5, "matching": 5, "page": 1, "pages": 3}
    assert numbers(size=2, at=12) == [12]
    assert numbers(size=2, page=99) == [12]
    assert numbers(size=2, at=7777) == [0, 1]
    assert choice.pick(ITEMS, choice.NOTHING).places == []
    assert choice.pick(ITEMS, None).places == [0, 1, 2, 3, 4]


def unpacked(strip):
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    size, text = strip["digits"], strip["packed"]
    found = []
    for first in range(0, len(text), size):
        kind = 0
        for letter in text[first : first + size]:
            kind = kind * 64 + digits.index(letter)
        found.append(strip["kinds"][kind][:4])
    return found


@pytest.mark.parametrize(("kinds", "digits"), [(3, 1), (70, 2), (5_000, 3)])
def test_a_packed_strip_says_of_each_cell_what_the_strip_did(kinds, digits):
    cells = [[number, number % kinds, 100, "running", 0] for number in range(6_000)]
    cells[17] = [17, None, None, "moving", 1]

    packed = store_shapes.pack({"instances": [], "cells": cells})

    assert packed["digits"] == digits
    assert unpacked(packed) == [cell[1:] for cell in cells]
    assert packed["count"] == sum(kind[4] for kind in packed["kinds"]) == 6_000
    assert packed["numbers"] is None


def test_a_packed_fill_is_whole_only_when_it_is_and_unknown_stays_unknown():
    cells = [[number, 0, 99.9 if number else None, "restoring", 0] for number in range(300)]
    assert [kind[1] for kind in store_shapes.pack({"instances": ["a"], "cells": cells})["kinds"]] == [None, 99]


def test_partitions_with_gaps_keep_their_numbers_and_few_cells_stay_cells():
    gaps = {"instances": [], "cells": [[2 * number, 0, 100, "running", 0] for number in range(300)]}
    assert store_shapes.pack(gaps)["numbers"][:3] == [0, 2, 4]
    few = {"instances": [], "cells": gaps["cells"][:200]}
    assert store_shapes.pack(few) is few


def test_who_only_turns_pages_looks_at_no_item():
    asked = []

    def make(place):
        asked.append(place)
        return ITEMS[place]

    items = choice.Items(len(ITEMS), make)
    assert choice.pick(items, Choice(size=2, page=1)).places == [2, 3]
    assert not asked
    assert choice.pick(items, Choice(state="running")).places == [0, 1, 4]
    assert asked
    assert list(items) == ITEMS
