"""The checks, each a function that returns words about what is well, or raises ``Wrong``. In the order of dependence.

Each has a short bound of its own, so that the whole takes seconds when everything is away. Nothing is changed by them.
"""

from __future__ import annotations

import asyncio
import secrets
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import redis
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer  # type: ignore[import-untyped]
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from console.browse import engines
from console.health.finding import WARN, Wrong
from console.jobs import presence
from console.observe import keys
from console.observe.board import reader
from console.observe.lateness import host_and_port
from console.observe.topic import kafka_settings
from engine.control.status import TOPIC as STATUS_TOPIC

if TYPE_CHECKING:
    from engine.control.status import InstanceStatus

_KAFKA_S = 3.0
_ENGINE_S = 2.0
_LAYER_S = 2.0
# Periodic tasks are ordered every ten seconds.
_BEAT_LATE_S = 45.0
# A skew beyond this draws "5 s ago" where it was now, and makes a console call fresh reports late.
_CLOCK_SKEW_S = 2.0
_ENGINES_AT_ONCE = 16


def database() -> str:
    """The database answers and has the tables of this version."""
    try:
        connection.ensure_connection()
        behind = MigrationExecutor(connection).migration_plan(MigrationExecutor(connection).loader.graph.leaf_nodes())
    except DatabaseError as error:
        raise Wrong(
            f"The database does not answer: {error}", "Check DATABASE_URL, and that the server runs."
        ) from error
    if behind:
        raise Wrong(f"{len(behind)} migrations are not applied.", "Run: manage.py migrate")
    return f"{connection.vendor}, all migrations applied"


def redis_answers() -> str:
    """Redis answers."""
    began = time.monotonic()
    try:
        keys.client().ping()
        version = keys.client().info("server")["redis_version"]
    except redis.RedisError as error:
        words = f"Redis does not answer ({type(error).__name__})."
        raise Wrong(
            words, "Start it, or check REDIS_URL: without it live values, sockets and jobs stand still."
        ) from error
    return f"version {version}, answered in {(time.monotonic() - began) * 1000:.0f} ms"


def channel_layer() -> str:
    """A message sent through the channel layer arrives."""
    token = secrets.token_hex(8)
    try:
        arrived = async_to_sync(_through_the_layer)(token)
    except Exception as error:
        words = f"The channel layer does not carry messages ({type(error).__name__})."
        raise Wrong(words, "Pages then look by themselves every 2 s. Check Redis and its memory limit.") from error
    if arrived != token:
        raise Wrong("The channel layer gave back another message.", "Give each console a Redis database of its own.")
    return "a message went through"


async def _through_the_layer(token: str) -> str:
    layer = get_channel_layer()
    try:
        name = await layer.new_channel("self-check")
        async with asyncio.timeout(_LAYER_S):
            await layer.send(name, {"type": "check", "token": token})
            return str((await layer.receive(name))["token"])
    finally:
        # Its connections belong to this call's own loop, which ends with it.
        await layer.close_pools()


def kafka() -> str:
    """A broker answers."""
    metadata = _metadata()
    return f"{len(metadata.brokers)} broker{'' if len(metadata.brokers) == 1 else 's'}, {len(metadata.topics):,} topics"


def status_topic() -> str:
    """The topic through which engines report is there and readable."""
    topic = _metadata().topics.get(STATUS_TOPIC)
    if topic is None:
        raise Wrong(
            f"There is no topic {STATUS_TOPIC}.",
            "The first engine makes it: start one with manage.py engine run.",
            level=WARN,
        )
    if topic.error is not None:
        raise Wrong(
            f"{STATUS_TOPIC} cannot be read: {topic.error}", "Allow the console's user to read and describe it."
        )
    if len(topic.partitions) != 1:
        words = f"{STATUS_TOPIC} has {len(topic.partitions)} partitions; its order needs exactly one."
        raise Wrong(words, "Stop the engines, delete the topic, and start them: they make it anew.")
    return f"{STATUS_TOPIC} is there"


def _metadata() -> Any:
    try:
        return AdminClient({**kafka_settings(), "log_level": 2}).list_topics(timeout=_KAFKA_S)
    except (KafkaException, OSError, ValueError) as error:
        words = f"Kafka does not answer at {settings.KAFKA_BOOTSTRAP_SERVERS}: {error}"
        remedy = "Check KAFKA_BOOTSTRAP_SERVERS, the client settings file, and that the brokers run."
        raise Wrong(words, remedy) from error


def observer() -> str:
    """The observer has measured lately, and keeps up."""
    seen = reader.read(fresh=True).observer
    if seen["stale"]:
        raise Wrong(
            str(seen["problem"] or "The observer is silent."), "Start it, or look at its log: manage.py observe"
        )
    if seen["problem"]:
        raise Wrong(str(seen["problem"]), "History is not recorded meanwhile; look at the database.", level=WARN)
    if seen["skipped"]:
        words = f"{seen['skipped']:,} records of the status topic could not be read."
        raise Wrong(words, "Run engines and console of the same version; guard the topic with ACLs.", level=WARN)
    return "it measures"


def workers() -> str:
    """Each host with an engine has a worker, and the console's own queue has one."""
    hosts = {each.host for each in _instances() if each.state != "failed"} | {settings.HOST_NAME}
    present = presence.workers(keys.client(), hosts)
    missing = sorted(hosts - present)
    if missing:
        words = f"No worker has said that it is there on {', '.join(missing)}."
        remedy = (
            "Jobs for those hosts wait. Start one there: celery -A console.celery worker -Q statehouse,host.<host name>"
        )
        raise Wrong(words, remedy)
    return f"one on {', '.join(sorted(present))}"


def beat() -> str:
    """A periodic task has run lately."""
    age_s = presence.beat_age_s(keys.client())
    if age_s is None or age_s > _BEAT_LATE_S:
        told = (
            "No periodic task is known to have run."
            if age_s is None
            else f"The last periodic task ran {age_s:.0f} s ago."
        )
        remedy = "Jobs of dead workers stay open and history grows. Start one: celery -A console.celery beat"
        raise Wrong(told, remedy, level=WARN)
    return f"the last periodic task ran {age_s:.0f} s ago"


def engines_answer() -> str:
    """Every engine that reports can be reached at the address that it reports."""
    answers = _health_of_engines()
    silent = sorted(name for name, answer in answers.items() if answer is None)
    if not answers:
        raise Wrong("No engine has reported.", "Start one: manage.py engine run package.module:build", level=WARN)
    if silent:
        words = f"{len(silent)} of {len(answers)} engines do not answer: {', '.join(silent[:5])}."
        raise Wrong(words, "Check that their --listen address can be reached from here, and that they run.")
    return f"{len(answers)} answer"


def token() -> str:
    """The engines' token can be read, only by its owner, and engines take it."""
    try:
        found = engines.token()
    except engines.NoToken as error:
        raise Wrong(str(error), "Without it stores cannot be browsed and jobs cannot be ordered.") from error
    for instance in _instances():
        try:
            answer = httpx.get(
                f"{instance.address}/v1/stores",
                headers={"Authorization": f"Bearer {found}"},
                timeout=_ENGINE_S,
                trust_env=False,
            )
        except httpx.HTTPError:
            continue
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            words = f"{instance.instance} refuses the console's token."
            raise Wrong(words, "Give engines and console the same file: --token-file and ENGINE_TOKEN_FILE.")
    mode = stat.S_IMODE(Path(settings.ENGINE_TOKEN_FILE).stat().st_mode)
    if mode & 0o077:
        words = f"The token's file can be read by others (mode {mode:04o})."
        raise Wrong(words, f"Run: chmod 600 {settings.ENGINE_TOKEN_FILE}", level=WARN)
    return "engines take it"


def clocks() -> str:
    """The clocks of Redis and of the engines' hosts agree with this one's."""
    seconds, microseconds = keys.client().time()
    skews = {"Redis": seconds + microseconds / 1e6 - time.time()}
    for name, answer in _health_of_engines().items():
        if answer is not None and answer.headers.get("date"):
            # The header has whole seconds, so it is up to one behind.
            skews[name] = parsedate_to_datetime(answer.headers["date"]).timestamp() + 0.5 - time.time()
    wrong = {name: skew for name, skew in skews.items() if abs(skew) > _CLOCK_SKEW_S}
    if wrong:
        told = ", ".join(f"{name} by {skew:+.1f} s" for name, skew in sorted(wrong.items()))
        raise Wrong(f"Clocks differ from this one: {told}.", "Let all hosts keep time with NTP.", level=WARN)
    return f"within {max(abs(skew) for skew in skews.values()):.1f} s"


def _instances() -> list[InstanceStatus]:
    return [
        instance
        for state in reader.read().applications.values()
        for instance in state.instances.values()
        if instance.address and host_and_port(instance.address)
    ]


def _health_of_engines() -> dict[str, httpx.Response | None]:
    """Ask each engine's open health route, several at once."""

    def ask(instance: InstanceStatus) -> httpx.Response | None:
        try:
            return httpx.get(f"{instance.address}/healthz", timeout=_ENGINE_S, trust_env=False)
        except httpx.HTTPError:
            return None

    instances = _instances()
    with ThreadPoolExecutor(_ENGINES_AT_ONCE) as pool:
        return dict(
            zip((f"{each.application}/{each.instance}" for each in instances), pool.map(ask, instances), strict=True)
        )
