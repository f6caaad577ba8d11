import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import Group

from console.live import socket, topics
from tests.console import reports
from tests.console.talk import Talk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("layers")]

GOOD = "http://localhost:8000"


@pytest.fixture
def layers(redis_url, settings):
    """Channels on the test's Redis, a layer of its own for each test."""
    from channels.layers import channel_layers

    settings.ALLOWED_ORIGINS = [GOOD]
    channel_layers.backends = {}
    yield redis_url
    channel_layers.backends = {}
    socket._by_loop.clear()


@pytest.fixture
def observed_again(observed):
    Group.objects.get_or_create(name="viewer")
    observed.report(*reports.shop())
    return observed


def cookies(client):
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    return [(b"cookie", f"{settings.SESSION_COOKIE_NAME}={session}".encode())]


def communicator(topic="overview", *, headers=(), origin=GOOD):
    from console.asgi import application

    given = [(b"host", b"localhost:8000"), *([(b"origin", origin.encode())] if origin is not None else []), *headers]
    return Talk(application, f"/ws/live/?topic={topic}", given)


@asynccontextmanager
async def opened(*args, **options):
    talk = communicator(*args, **options)
    connected = await talk.connect()
    try:
        yield talk, connected
    finally:
        await talk.disconnect()


async def until(talk, kind):
    async with asyncio.timeout(5):
        while True:
            message = json.loads(await talk.receive_text())
            if message["type"] == kind:
                return message


async def close_code(talk):
    async with asyncio.timeout(5):
        while True:
            output = await talk.receive_output(5)
            if output["type"] == "websocket.close":
                return output["code"]


async def test_it_works(observed_again, as_role):
    headers = cookies(await sync_to_async(as_role)("viewer"))

    async with opened("store:shop/counts", headers=headers) as (talk, connected):
        assert connected
        first = await until(talk, "snapshot")
        assert first["topic"] == "store:shop/counts"
        assert first["stale"] is False
        assert first["data"]["keys_estimate"] == 32
        assert (await until(talk, "alive"))["observer_at"] is not None

        await sync_to_async(observed_again.report)(reports.store("counts", "0_0", sequence=2, keys_estimate=20))
        again = await until(talk, "snapshot")
        while again["data"]["keys_estimate"] == 32:
            again = await until(talk, "snapshot")
        assert again["data"]["keys_estimate"] == 36


@pytest.mark.usefixtures("observed_again")
@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "http://localhost:8001",
        "https://localhost:8000",
        "http://localhost",
        "http://evil.example:8000",
        "http://localhost:8000.evil.example",
        "http://sub.localhost:8000",
    ],
)
async def test_a_foreign_origin_is_refused(as_role, origin):
    headers = cookies(await sync_to_async(as_role)("viewer"))

    async with opened(headers=headers, origin=origin) as (_, connected):
        assert not connected


@pytest.mark.usefixtures("observed_again")
async def test_a_stranger_is_refused():
    async with opened() as (talk, _):
        assert await close_code(talk) == socket.NOT_SIGNED_IN


@pytest.mark.usefixtures("observed_again")
async def test_someone_without_a_role_is_refused(as_role):
    client = await sync_to_async(as_role)("viewer")
    await sync_to_async(Group.objects.all().delete)()

    async with opened(headers=cookies(client)) as (talk, _):
        assert await close_code(talk) == socket.NOT_ALLOWED


@pytest.mark.usefixtures("observed_again")
@pytest.mark.parametrize(
    "topic",
    [
        "",
        "nothing",
        "app:",
        "app:..",
        "store:shop",
        "store:shop/../x",
        "app:unheard-of",
        "overview:x",
        "job:1",
        "lag:a/b",
    ],
)
async def test_an_unknown_topic_is_refused(as_role, topic):
    headers = cookies(await sync_to_async(as_role)("viewer"))

    async with opened(topic, headers=headers) as (talk, _):
        assert await close_code(talk) == socket.NOT_FOUND


@pytest.mark.usefixtures("observed_again")
@pytest.mark.parametrize("loss", ["role", "sign-out", "inactive"])
async def test_rights_that_end_close_the_socket(as_role, loss, monkeypatch):
    monkeypatch.setattr("console.limits.RIGHTS_INTERVAL_MS", 300)
    client = await sync_to_async(as_role)("viewer")

    async with opened(headers=cookies(client)) as (talk, _):
        await until(talk, "snapshot")
        await sync_to_async(lose)(client, loss)
        assert await close_code(talk) == (socket.NOT_ALLOWED if loss == "role" else socket.NOT_SIGNED_IN)


def lose(client, loss):
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.get(username="viewer-user")
    if loss == "role":
        user.groups.clear()
    elif loss == "sign-out":
        client.logout()
    else:
        user.is_active = False
        user.save()


@pytest.mark.usefixtures("observed_again")
async def test_a_browser_that_says_too_much_is_cut_off(as_role):
    headers = cookies(await sync_to_async(as_role)("viewer"))

    async with opened(headers=headers) as (talk, _):
        await talk.send_text("x" * 5_000)
        assert await close_code(talk) == socket.TOO_BIG


@pytest.mark.usefixtures("observed_again")
async def test_updates_come_at_most_twice_a_second(as_role):
    from channels.layers import get_channel_layer

    headers = cookies(await sync_to_async(as_role)("viewer"))
    async with opened(headers=headers) as (talk, _):
        await until(talk, "snapshot")
        began = asyncio.get_running_loop().time()
        count = 0
        while asyncio.get_running_loop().time() - began < 2:
            await get_channel_layer().group_send("overview", {"type": "status.changed"})
            if not await talk.receive_nothing(timeout=0.05):
                count += json.loads(await talk.receive_text())["type"] == "snapshot"
        assert 2 <= count <= 5


@pytest.mark.usefixtures("observed_again")
async def test_a_socket_that_hears_of_nothing_stays_open(as_role):
    headers = cookies(await sync_to_async(as_role)("viewer"))

    # Longer than a receiver waits in Redis at a time.
    async with opened(headers=headers) as (talk, _):
        for _ in range(7):
            await until(talk, "alive")


@pytest.mark.usefixtures("observed_again")
async def test_a_socket_outlives_an_absence_of_redis(as_role, monkeypatch):
    import redis
    from channels_redis.core import RedisChannelLayer

    async def fail(*_args):
        raise redis.ConnectionError("away")

    headers = cookies(await sync_to_async(as_role)("viewer"))
    with monkeypatch.context() as patched:
        patched.setattr(RedisChannelLayer, "receive_single", fail)
        async with opened(headers=headers) as (talk, _):
            for _ in range(3):
                await until(talk, "alive")


@pytest.mark.parametrize(
    ("text", "application", "store"),
    [
        ("overview", None, None),
        ("app:shop", "shop", None),
        ("store:shop/counts", "shop", "counts"),
        ("lag:shop", "shop", None),
        ("restores", None, None),
        ("restores:shop", "shop", None),
        ("jobs", None, None),
    ],
)
def test_topics_are_read(text, application, store):
    topic = topics.parse(text)

    assert (topic.name, topic.application, topic.store) == (text, application, store)
