"""Users' functions: that they can be called as the engine will call them, looked at when the topology is built.

A call is written as the text of its arguments, such as `key, value`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from engine.errors import TopologyError

Function = TypeVar("Function", bound=Callable[..., Any])
NOTHING, VALUE, RECORD, FOLD = "", "value", "key, value", "key, value, aggregate"
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def check_callable(function: Function, what: str, *calls: str) -> Function:
    """Return `function`, or raise TopologyError when none of `calls` suits it.

    A coroutine function suits none: nobody would await what it returns.
    """
    if not callable(function):
        raise TopologyError(f"the {what} is {function!r}: give a function")
    if _is_async(function) or _is_async(type(function).__call__):
        raise TopologyError(f"the {what} {_name(function)} is async: the engine calls functions without awaiting them")
    signature = _signature(function)
    if signature is not None and not any(_fits(signature, call) for call in calls):
        asked = " or ".join(f"({call})" for call in calls)
        raise TopologyError(f"the {what} {_name(function)} takes {signature}: it is called with {asked}")
    return function


def takes_key(function: Callable[..., Any], what: str = "mapper") -> bool:
    """Whether a function of values is written as `(key, value)` rather than as `(value)`."""
    return required_arguments(check_callable(function, what, VALUE, RECORD)) == 2  # noqa: PLR2004 - the key and the value


def required_arguments(function: Callable[..., Any]) -> int:
    """Count the positional arguments that `function` cannot do without; 1 for builtins that do not say."""
    signature = _signature(function)
    if signature is None:
        return 1
    parameters = signature.parameters.values()
    return sum(1 for p in parameters if p.kind in _POSITIONAL and p.default is inspect.Parameter.empty)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """What the function takes; None for builtins that do not say."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _fits(signature: inspect.Signature, call: str) -> bool:
    try:
        signature.bind(*call.split(", ") if call else ())
    except TypeError:
        return False
    return True


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
