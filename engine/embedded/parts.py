"""The table of parts that ``manage.py up`` runs, with their commands: the one place that spells them."""

import socket
import sys
from dataclasses import replace
from pathlib import Path

from engine.embedded import browser_libraries, ports, probes
from engine.embedded.part import Kind, Part
from engine.embedded.process import Command
from engine.embedded.stack import ROOT, USER, Stack

FLIGHTS = "flights"
SLOW_LANE = "slow-lane"
WORKER_PROCESSES = 2
PROGRAM_FAULT = "This is a fault in the program, or in its data."


def table(stack: Stack) -> list[Part]:
    """Return every part of this `up`, each with what it waits for."""
    parts = [*_kafka(stack), *_redis(stack), *_libraries(stack), *_database(stack), *_console(stack), *_demo(stack)]
    # A part that the environment replaces, or that is here already, is no longer waited for.
    names = {part.name for part in parts}
    return [_waiting_for(part, names) for part in parts]


def _waiting_for(part: Part, names: set[str]) -> Part:
    return replace(part, after=tuple(name for name in part.after if name in names))


def _kafka(stack: Stack) -> list[Part]:
    kafka = stack.kafka
    if kafka is None:
        return []
    return [
        Part(
            "kafka",
            kafka.command(),
            ready=kafka.answers,
            address=kafka.bootstrap_servers,
            start_seconds=180,
            remedy="Check that there is memory and disk for it.",
        )
    ]


def _redis(stack: Stack) -> list[Part]:
    redis = stack.redis
    if redis is None:
        return []
    return [Part("redis", redis.command(), ready=redis.answers, address=f"{ports.LOOPBACK}:{redis.port}")]


def _libraries(stack: Stack) -> list[Part]:
    if browser_libraries.present():
        return []
    command = _python(stack, "browser-libraries", "-m", "engine.embedded.browser_libraries")
    return [Part("browser-libraries", command, Kind.STEP, start_seconds=browser_libraries.FETCH_SECONDS + 10)]


def _database(stack: Stack) -> list[Part]:
    secrets = {"STATEHOUSE_ADMIN_PASSWORD": stack.password, "STATEHOUSE_API_TOKEN": stack.token}
    account = _manage(stack, "account", "ensure_account", "--username", USER, "--role", "admin", extra=secrets)
    migrate = _manage(stack, "database", "migrate", "--no-input", "--verbosity", "0")
    return [
        Part("database", migrate, Kind.STEP, start_seconds=180, remedy="Check DATABASE_URL, if you have set it."),
        Part("account", account, Kind.STEP, after=("database",), remedy=PROGRAM_FAULT),
    ]


def _console(stack: Stack) -> list[Part]:
    host = socket.gethostname()
    web = _python(
        stack, "web", "-m", "uvicorn", "console.asgi:application", "--host", ports.LOOPBACK, "--port", str(stack.web_port),
        "--lifespan", "off", "--log-level", "warning", "--no-access-log", "--ws", "websockets-sansio",
        "--timeout-graceful-shutdown", "3",
    )  # fmt: skip
    worker = _python(
        stack, "worker", "-m", "celery", "-A", "console.celery", "worker", "-Q", f"statehouse,host.{host}",
        "--concurrency", str(WORKER_PROCESSES), "-n", "worker@%h", "--loglevel", "WARNING",
        stop_seconds=15,
    )  # fmt: skip
    beat = _python(
        stack, "beat", "-m", "celery", "-A", "console.celery", "beat", "-s", str(stack.data / "celerybeat-schedule"),
        "--pidfile=", "--loglevel", "WARNING",
    )  # fmt: skip
    observer = _manage(stack, "observer", "observe")
    serves = probes.http_ok(ports.LOOPBACK, stack.web_port, "/healthz")
    address = f"{ports.LOOPBACK}:{stack.web_port}"
    return [
        Part("observer", observer, after=("kafka", "redis", "account"), remedy=PROGRAM_FAULT),
        Part("worker", worker, after=("redis", "account"), remedy=PROGRAM_FAULT),
        Part("beat", beat, after=("redis", "account"), remedy=PROGRAM_FAULT),
        Part(
            "web", web, after=("redis", "account", "browser-libraries"), ready=serves, address=address, remedy=PROGRAM_FAULT
        ),
    ]  # fmt: skip


def _demo(stack: Stack) -> list[Part]:
    options = stack.options
    if options.demo == "off":
        return []
    engines = [_engine(stack, name) for name in stack.engine_ports]
    speed = () if options.speed is None else ("--speed", str(options.speed))
    prepare = _manage(stack, "topics", "feed", "--prepare")
    feed = _manage(stack, "feeder", "feed", "--mode", options.demo, *speed)
    return [
        Part("topics", prepare, Kind.STEP, after=("kafka",), start_seconds=180, remedy=PROGRAM_FAULT),
        *engines,
        Part("feeder", feed, Kind.TASK, after=tuple(engine.name for engine in engines), remedy=PROGRAM_FAULT),
    ]


def _engine(stack: Stack, name: str) -> Part:
    """Return one engine instance; each has a state directory of its own, which it locks."""
    slow = name.startswith("engine-slow-lane")
    application, program = (SLOW_LANE, "slow_lane") if slow else (FLIGHTS, "flights")
    port = stack.engine_ports[name]
    address = f"{ports.LOOPBACK}:{port}"
    command = _manage(
        stack, name, "engine", "run", f"engine.demo.{program}:build", "--application-id", application,
        "--instance-id", name.removeprefix("engine-") if slow else name, "--listen", address,
        "--state-dir", str(stack.data / "state" / name), "--token-file", str(stack.engine_token_file),
        "--bootstrap-servers", stack.bootstrap_servers,
        # A turn of the slow application takes a second: what it has done so far shows, and it leaves when asked.
        *(("--poll-records", "25") if slow else ()),
        stop_seconds=20,
    )  # fmt: skip
    return Part(
        name,
        command,
        after=("topics",),
        ready=probes.http_ok(ports.LOOPBACK, port, "/healthz"),
        application=application,
        address=address,
        start_seconds=180,
        remedy=PROGRAM_FAULT,
    )


def _manage(
    stack: Stack, name: str, *arguments: str, extra: dict[str, str] | None = None, stop_seconds: float = 10.0
) -> Command:
    return _python(stack, name, str(ROOT / "manage.py"), *arguments, extra=extra, stop_seconds=stop_seconds)


def _python(
    stack: Stack, name: str, *arguments: str, extra: dict[str, str] | None = None, stop_seconds: float = 10.0
) -> Command:
    """Return a command of this Python, run in the checkout, with the environment that every child gets."""
    return Command(
        [sys.executable, *arguments],
        log_of(stack.data.path, name),
        environment={**stack.environment(), **(extra or {})},
        directory=ROOT,
        stop_seconds=stop_seconds,
    )


def log_of(data_directory: Path, name: str) -> Path:
    """Return where the part ``name`` logs; Kafka and Redis log beside their data."""
    return data_directory / "logs" / f"{name}.log"
