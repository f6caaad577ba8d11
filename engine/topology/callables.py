"""How many arguments a user's function takes: decided once, when the topology is built, never per record."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from engine.errors import TopologyError

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def required_arguments(function: Callable[..., Any]) -> int:
    """Count the positional arguments that `function` cannot do without; 1 for builtins that do not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    return sum(1 for p in parameters if p.kind in _POSITIONAL and p.default is inspect.Parameter.empty)


def takes_key(function: Callable[..., Any]) -> bool:
    """Whether a value mapper is written as `(key, value)` rather than as `(value)`."""
    return required_arguments(check_callable(function, "mapper")) == 2  # noqa: PLR2004 - the key and the value


def check_callable(function: Any, what: str) -> Callable[..., Any]:
    """Return `function`, or raise TopologyError when it cannot be called."""
    if not callable(function):
        raise TopologyError(f"the {what} is {function!r}: give a function")
    return function  # type: ignore[no-any-return]
