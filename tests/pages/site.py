"""The console's pages on sample data: for looking at them (``preview.py``) and for the browser tests.

    uv run python -m tests.pages.site --port 8123

It is the real Django project with the real templates, policy and headers; only what the observer, the engines and the
workers would say comes from ``samples.py``. ``/__test__/<command>`` steers it: ``silence`` and ``speak`` stop and start
the WebSocket's messages, ``age`` makes the observer old, ``scene?name=…`` and
``engines?are=restoring|partial`` and ``bump`` change the data, ``reset`` undoes it all; ``session?user=…`` signs an account in.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

USER, PASSWORD = "ada", "a quiet lake"
scene = {"name": "usual", "silent": False, "age_ms": 0, "engines": ""}


def prepare(port: int, scratch: Path) -> Any:
    """Set Django up on a throw-away database in `scratch`, with an account a role; return the ASGI application."""
    os.environ.update(
        {
            "DJANGO_SETTINGS_MODULE": "console.settings",
            "STATEHOUSE_DATA_DIR": str(scratch),
            "DATABASE_URL": f"sqlite:///{scratch}/console.db",
            "STATEHOUSE_SECRET_KEY": "only-for-the-tests-of-the-pages-" + "x" * 30,
            "STATEHOUSE_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
            "STATEHOUSE_LOG_LEVEL": "WARNING",
        },
    )
    import django

    from tests.pages import samples

    samples.install(scene)
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from tests.pages import sample_past, sample_storage

    sample_past.seed()
    sample_past.install()
    sample_storage.install(scene)
    from console.access.roles import ensure_account

    stand_in_for_the_parts()
    for name, role in ((USER, "operator"), ("vic", "viewer")):
        ensure_account(name, role, PASSWORD)
    samples.write_alerts()
    samples.write_ownership()
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def stand_in_for_the_parts() -> None:
    """What the self-check would find, and what the audit has: no Redis and no Kafka run beside the pages."""
    from console.access import audit
    from console.health import self_check
    from console.health.finding import BAD, OK, SKIPPED, WARN, Finding

    found = [
        Finding("Database", OK, "sqlite, all migrations applied", took_ms=2.1),
        Finding("Redis", OK, "version 7.2.4, answered in 1 ms", took_ms=1.4),
        Finding("Kafka", BAD, "Kafka does not answer at 127.0.0.1:9092: timed out", "Check KAFKA_BOOTSTRAP_SERVERS, and that the brokers run.", 3_001.0),
        Finding("Status topic", SKIPPED, "Not tried: it needs Kafka."),
        Finding("Clocks", WARN, "Clocks differ from this one: flights/engine-2 by -7.4 s.", "Let all hosts keep time with NTP.", 12.0),
    ]  # fmt: skip
    self_check.walk = lambda *_: found  # type: ignore[assignment]
    for number in range(105):
        audit.write(None, "browse-like", via="test", parameters={"number": number}, result="accepted")
    from console.models import Application
    from console.observe import sizes

    Application.objects.get_or_create(id="flights")
    now = int(time.time() * 1000)
    sizes.store(
        [
            sizes.Row("flights", "delay-by-hour", now - 600_000 * n, 26_000 - 90 * n, 4_200_000 - 9_000 * n)
            for n in range(140)
        ]
    )
    place = {"application": "flights", "store": "delay-by-hour"}
    audit.write(
        None,
        "rebuild",
        via="page",
        address="10.0.0.7",
        parameters={"partitions": [3], "why": "<i>checksum</i>"},
        **place,
    )
    audit.write(None, "compact", via="api", address="10.0.0.8", result="refused: forbidden", **place)


class Site:
    """Django for pages, a steerable stand-in for the WebSocket."""

    def __init__(self, django_application: Any) -> None:
        self.django_application = django_application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self.socket(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith("/__test__/"):
            await self.steer(scope, send)
        elif scope["type"] == "http":
            await self.django_application(scope, receive, send)

    async def socket(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        topic = parse_qs(scope["query_string"].decode())["topic"][0]
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                if not scene["silent"]:
                    now = int(time.time() * 1000)
                    message = {
                        "type": "snapshot",
                        "topic": topic,
                        "at": now,
                        "observer_at": now - scene["age_ms"],
                        "data": await watched(topic),
                    }
                    await send({"type": "websocket.send", "text": json.dumps(message)})
                await asyncio.sleep(0.5)
        except (OSError, RuntimeError):
            return

    async def steer(self, scope: dict[str, Any], send: Any) -> None:
        command = scope["path"].removeprefix("/__test__/")
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        changes = {
            "silence": {"silent": True},
            "speak": {"silent": False, "age_ms": 0},
            "age": {"age_ms": int(query.get("ms", "0"))},
            "scene": {"name": query.get("name", "usual")},
            "engines": {"engines": query.get("are", "")},
            "bump": {"bump": True},
            "reset": {"bump": False, "name": "usual", "silent": False, "age_ms": 0, "engines": ""},
        }
        scene.update(changes.get(command, {}))
        from asgiref.sync import sync_to_async

        answer = await sync_to_async(session_of)(query["user"]) if command == "session" else "ok"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": answer.encode()})


def session_of(user: str) -> str:
    """Sign an account in without its form, whose slow hash is for passwords that somebody might steal."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    client = Client()
    client.force_login(get_user_model().objects.get(username=user))
    return client.cookies[settings.SESSION_COOKIE_NAME].value


async def watched(topic: str) -> dict[str, Any]:
    """What the real socket would send for an entry that is open; nothing for the other topics, whose pages ask again."""
    if not topic.startswith("entry:"):
        return {}
    from asgiref.sync import sync_to_async

    from console.live import topics

    found = topics.parse(topic)
    assert found is not None, topic
    return await sync_to_async(found.build)() or {}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    import uvicorn

    # uvicorn hands SIGTERM on when it has stopped: as an exit, so that the scratch directory goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="statehouse-pages-") as scratch:
        application = prepare(port, Path(scratch))
        uvicorn.run(Site(application), host="127.0.0.1", port=port, log_level="warning", lifespan="off")


if __name__ == "__main__":
    main()
