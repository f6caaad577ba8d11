"""The build function that a user names on a command line, and what it makes."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, StatehouseError
from engine.topology.builder import topology_of
from engine.topology.topology import Topology


def load_build(name: str) -> Callable[..., Any]:
    """The function that `package.module:function` names; raises ConfigError when there is none."""
    module, colon, function = name.partition(":")
    if not colon or not module or not function:
        raise ConfigError(f"{name!r} is not package.module:function, such as engine.demo.flights:build")
    # A user's own module lies where the command is started.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(import_module(module), function, None)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{name!r} cannot be imported: {error}. Is it on PYTHONPATH?") from error
    if not callable(found):
        raise ConfigError(f"module {module} has no function {function!r}")
    build: Callable[..., Any] = found
    return build


def load_topology(name: str) -> Topology:
    """The topology that the function named so makes; raises ConfigError for whatever it raises, too."""
    build = load_build(name)
    try:
        return topology_of(build)
    except StatehouseError:
        raise
    except Exception as error:
        raise ConfigError(f"{name} raised {type(error).__name__}: {error}") from error
