"""The table of adapters by section."""

from collections.abc import Callable
from typing import Any

Check = Callable[..., None]
SECTIONS: dict[str, Check] = {}


def section(*names: str) -> Callable[[Check], Check]:
    """Register `check(vector, shared, *, batch)` for sections."""

    def register(check: Check) -> Check:
        for name in names:
            SECTIONS[name] = check
        return check

    return register


def known(vector: dict[str, Any], fields: str) -> None:
    """Fail for fields that the adapter would pass over."""
    unknown = vector.keys() - {"section", "id", "note", "src", *fields.split()}
    assert not unknown, f"the adapter of section {vector['section']} does not know {unknown}"
