"""Where everything of one ``up`` is: addresses, files and secrets, settled before any part starts."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from engine.embedded import jars, ports, probes
from engine.embedded.data_directory import DataDirectory
from engine.embedded.failure import StartFailure
from engine.embedded.kafka import USUAL_CONTROLLER_PORT, Kafka
from engine.embedded.kafka import USUAL_PORT as USUAL_KAFKA_PORT
from engine.embedded.options import Options
from engine.embedded.redis import USUAL_PORT as USUAL_REDIS_PORT
from engine.embedded.redis import Redis

ROOT = Path(__file__).resolve().parents[2]
USUAL_WEB_PORT = 8000
USUAL_ENGINE_PORT = 8101
USER = "admin"
KEY_FILE_VARIABLE = "STATEHOUSE_SECRET_KEY_FILE"
REDIS_PORT = 6379


@dataclass(frozen=True)
class Stack:
    """``kafka`` and ``redis`` are None where the environment names one that already runs."""

    options: Options
    data: DataDirectory
    web_port: int
    bootstrap_servers: str
    redis_url: str
    database_url: str
    kafka: Kafka | None
    redis: Redis | None
    password: str = field(repr=False)
    token: str = field(repr=False)
    engine_ports: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        return f"http://{ports.LOOPBACK}:{self.web_port}"

    @property
    def engine_token_file(self) -> Path:
        """The bearer token of the engine's own service."""
        return self.data / "engine-token"

    def environment(self) -> dict[str, str]:
        """Return what every child finds in its environment: the same names that a production set-up uses."""
        own_key = {} if os.environ.get("STATEHOUSE_SECRET_KEY") else {KEY_FILE_VARIABLE: str(self.data / "secret-key")}
        return {
            **own_key,
            "DJANGO_SETTINGS_MODULE": "console.settings",
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "REDIS_URL": self.redis_url,
            "DATABASE_URL": self.database_url,
            "STATEHOUSE_DATA_DIR": str(self.data.path),
            "ENGINE_TOKEN_FILE": str(self.engine_token_file),
            "STATEHOUSE_ALLOWED_ORIGINS": f"http://127.0.0.1:{self.web_port},http://localhost:{self.web_port}",
            "PYTHONUNBUFFERED": "1",
            **_bytecode(),
        }


def settle(options: Options, data: DataDirectory) -> Stack:
    """Choose addresses and secrets; raises :class:`StartFailure` for a port or an outside part that can't be had."""
    web_port = _web_port(options, data)
    bootstrap_servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "").strip()
    redis_url = os.environ.get("REDIS_URL", "").strip()
    database_url = os.environ.get("DATABASE_URL", "").strip()
    kafka = redis = None
    if bootstrap_servers:
        _check_outside(
            "KAFKA_BOOTSTRAP_SERVERS", bootstrap_servers, lambda: any(map(_listens, bootstrap_servers.split(",")))
        )
    else:
        port = data.port("kafka", USUAL_KAFKA_PORT)
        controller = data.port("kafka-controller", USUAL_CONTROLLER_PORT)
        kafka = Kafka(data / "kafka", port, controller, heap=options.kafka_heap)
        bootstrap_servers = kafka.bootstrap_servers
    if redis_url:
        where = urlsplit(redis_url)
        address = f"{where.hostname or ports.LOOPBACK}:{where.port or REDIS_PORT}"
        _check_outside("REDIS_URL", address, lambda: where.scheme == "unix" or _listens(address))
    else:
        redis = Redis(data / "redis", data.port("redis", USUAL_REDIS_PORT), data.secret("redis-password"))
        redis_url = redis.url
    for secret in ("secret-key", "engine-token"):
        data.secret(secret, 48)
    return Stack(
        options=options,
        data=data,
        web_port=web_port,
        bootstrap_servers=bootstrap_servers,
        redis_url=redis_url,
        database_url=database_url or f"sqlite:///{data / 'console.sqlite3'}",
        kafka=kafka,
        redis=redis,
        password=data.secret("admin-password", 12),
        token=data.secret("admin-token", 32),
        engine_ports={
            name: data.port(name, USUAL_ENGINE_PORT + number) for number, name in enumerate(engine_names(options))
        },
    )


def engine_names(options: Options) -> list[str]:
    """Return the roles of the demo's engine instances, the deliberately slow one last."""
    if options.demo == "off":
        return []
    return [*(f"engine-{number}" for number in range(1, options.instances + 1)), "engine-slow-lane-1"]


def _bytecode() -> dict[str, str]:
    """Where Python may not write bytecode beside the sources (many images say so), let it write to our cache.

    Ten processes that each compile Django anew take three times as long to start.
    """
    if not os.environ.get("PYTHONDONTWRITEBYTECODE") or os.environ.get("PYTHONPYCACHEPREFIX"):
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(jars.cache_directory() / "bytecode")}


def _web_port(options: Options, data: DataDirectory) -> int:
    if options.port is None:
        return data.port("web", USUAL_WEB_PORT)
    if not ports.is_free(options.port):
        raise StartFailure(
            f"Port {options.port} is taken by another program. Give another one with --port, or none and one is chosen."
        )
    data.remember_port("web", options.port)
    return options.port


def _check_outside(variable: str, address: str, answers: Callable[[], bool]) -> None:
    if not answers():
        raise StartFailure(
            f"{variable} is set and nothing listens at {address}. "
            f"Start it, correct the variable, or unset it to have one started here."
        )


def _listens(address: str) -> bool:
    host, _, port = address.strip().rpartition("://")[2].rpartition(":")
    return port.isdigit() and probes.connects(host.strip("[]"), int(port))
