"""The one WebSocket URL: ``/ws/live/?topic=…``."""

from __future__ import annotations

from django.urls import path

from console.live.socket import LiveSocket

websocket_urlpatterns = [path("ws/live/", LiveSocket.as_asgi())]
