"""Makes a case that differs smaller: as few inputs as still show a difference."""

from collections.abc import Callable
from typing import Any

Case = dict[str, Any]


def shrunk(case: Case, differs: Callable[[Case], bool]) -> Case:
    """Leave out runs of inputs, long ones first, for as long as what is left still differs."""
    inputs = case["inputs"]
    length = max(1, len(inputs) // 2)
    while True:
        place, smaller = 0, False
        while place < len(inputs):
            fewer = inputs[:place] + inputs[place + length :]
            if fewer and differs(case | {"inputs": fewer}):
                inputs, smaller = fewer, True
            else:
                place += length
        if length == 1 and not smaller:
            return case | {"inputs": inputs}
        length = max(1, length // 2)
