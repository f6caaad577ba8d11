"""A browser's end of a WebSocket, in the test's event loop. (Channels' own needs daphne, which we do not run.)"""

from urllib.parse import unquote, urlparse

from asgiref.testing import ApplicationCommunicator


class Talk(ApplicationCommunicator):
    """Opens with ``connect``; ``receive_output`` gives raw ASGI messages."""

    def __init__(self, application, url, headers):
        parts = urlparse(url)
        super().__init__(
            application,
            {
                "type": "websocket",
                "path": unquote(parts.path),
                "query_string": parts.query.encode(),
                "headers": headers,
                "subprotocols": [],
            },
        )

    async def connect(self):
        """Return whether the handshake was accepted."""
        await self.send_input({"type": "websocket.connect"})
        return (await self.receive_output(5))["type"] == "websocket.accept"

    async def receive_text(self):
        output = await self.receive_output(5)
        assert output["type"] == "websocket.send", output
        return output["text"]

    async def send_text(self, text):
        await self.send_input({"type": "websocket.receive", "text": text})

    async def disconnect(self):
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(0.3)
