"""Noticing that the ``uv`` process above ``up`` is gone: ``uv run`` passes signals on, but not its own ``kill -9``."""

import os

import psutil


class Parent:
    """Remembers who started this process. Only ``uv`` is watched: a shell may end and leave ``up`` running on purpose."""

    def __init__(self) -> None:
        self._pid = os.getppid()
        try:
            self._watched = psutil.Process(self._pid).name() in {"uv", "uvx"}
        except psutil.Error:
            self._watched = False

    @property
    def gone(self) -> bool:
        """Tell whether the ``uv`` that started this process has ended."""
        return self._watched and os.getppid() != self._pid
