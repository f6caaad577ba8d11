"""The ASGI application: HTTP to Django, WebSockets to ``console.live`` after the origin and login checks."""

from __future__ import annotations

import os

from channels.auth import AuthMiddlewareStack  # type: ignore[import-untyped]
from channels.routing import ProtocolTypeRouter, URLRouter  # type: ignore[import-untyped]
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

django_application = get_asgi_application()

# Channels' parts read models, so they can be imported only after Django has been set up.
from console.live.origin import OriginCheck  # noqa: E402
from console.live.urls import websocket_urlpatterns  # noqa: E402

try:
    _ = settings.SECRET_KEY
except ImproperlyConfigured:
    raise ImproperlyConfigured(
        "No secret key. Set STATEHOUSE_SECRET_KEY_FILE to a file with 50 random characters."
    ) from None

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": OriginCheck(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    },
)
