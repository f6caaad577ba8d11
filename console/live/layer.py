"""The channel layer: Channels' own on Redis, made to wait out an absent Redis instead of ending every socket.

Pings that are lost meanwhile cost nothing: sockets look by themselves every two seconds.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from channels_redis.core import RedisChannelLayer
from redis import RedisError

logger = logging.getLogger(__name__)

_PAUSE_S = 1.0


class PatientRedisChannelLayer(RedisChannelLayer):  # type: ignore[misc]  # channels_redis has no types
    """Only ``receive`` differs: a socket waits in it all its life, and an error there would close the socket."""

    async def receive(self, channel: str) -> Any:
        """Return the next message, however long that takes."""
        while True:
            try:
                return await super().receive(channel)
            except (RedisError, OSError) as error:
                logger.info("pings-wait: %s", error)
                await asyncio.sleep(_PAUSE_S)
