"""Choosing partitions: boxes for few, a line of numbers and ranges for many."""

from urllib.parse import urlencode

import pytest
from django.http import QueryDict

from console.pages import partition_choice

MANY = {"instances": ["engine-1"], "count": 10_000, "packed": "A" * 10_000, "digits": 1, "numbers": None, "kinds": [[0, 100, "running", 0, 10_000]]}  # fmt: skip
FEW = {"instances": ["engine-1"], "cells": [[number, 0, 100.0, "running", 0] for number in (0, 1, 4)]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", [7]),
        ("0-2, 512", [0, 1, 2, 512]),
        ("512,0 – 2", [0, 1, 2, 512]),  # noqa: RUF001 - as people write ranges
        ("1..3,2-4", [1, 2, 3, 4]),
        ("9998-999999999", [9998, 9999]),
        ("", []),
    ],
)
def test_a_line_names_partitions_and_ranges(text, expected):
    found = partition_choice.read(QueryDict(urlencode({"partitions": text})), MANY, {})
    assert (found["chosen"], found["problem"], found["cells"]) == (expected, "", [])


@pytest.mark.parametrize(
    ("text", "words"),
    [("one", "neither a partition nor a range"), ("1-", "neither"), ("3, 10000", "There is no partition 10000"), ("5-3", "There is no partition 5-3")],
)  # fmt: skip
def test_what_is_wrong_with_a_line_is_said_and_nothing_is_chosen(text, words):
    found = partition_choice.read(QueryDict(urlencode({"partitions": text})), MANY, {})
    assert words in found["problem"]
    assert found["chosen"] == []
    assert found["text"] == text


def test_what_a_link_names_stands_in_the_line():
    found = partition_choice.read(QueryDict("partition=3&partition=4&partition=9&partition=99999"), MANY, {})
    assert found["text"] == "3-4, 9"
    assert found["chosen"] == [3, 4, 9]


def test_few_partitions_are_ticked():
    found = partition_choice.read(QueryDict("partition=4&partition=7&partitions=0-9"), FEW, {"engine-1": 2})
    assert found["chosen"] == [4]
    assert [(cell["partition"], cell["chosen"]) for cell in found["cells"]] == [(0, False), (1, False), (4, True)]
    assert found["known"] == [0, 1, 4]
