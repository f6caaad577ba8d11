"""The one WebSocket URL: ``/ws/live/?topic=…``."""

from __future__ import annotations

websocket_urlpatterns: list[object] = []
