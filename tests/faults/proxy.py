"""A TCP proxy between clients and a broker that can be slow, swallow everything, or cut and reset connections."""

import contextlib
import select
import socket
import struct
import threading
import time

CHUNK = 64 * 1024
LOOK_SECONDS = 0.1


class Proxy:
    """Listens on `port` of the loopback and passes on to `target`'s port. `delay` in seconds holds each chunk back.

    While `hole` is set nothing is passed on in either direction, and nothing is lost: it comes when the hole closes.
    """

    def __init__(self, port: int, target: int) -> None:
        self.target = target
        self.delay = 0.0
        self.passed = 0  # bytes
        self._open = threading.Event()
        self._open.set()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._forgotten: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @contextlib.contextmanager
    def hole(self):
        """Swallow all traffic meanwhile."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def reset(self) -> int:
        """Reset every connection, as a firewall does; returns how many there were."""
        pairs = list(self._pairs)
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    # Closing with a linger of 0 sends RST instead of FIN. The pumps close: a socket that one of them
                    # reads from would stay open.
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._pairs.discard(pair)
        return len(pairs)

    def forget(self) -> int:
        """Swallow whatever the connections of now carry from here on, for good, as a firewall that lost its table does.

        New ones pass. Returns how many there were.
        """
        forgotten = set(self._pairs)
        self._forgotten |= forgotten
        return len(forgotten)

    def close(self) -> None:
        self._listener.close()
        self._open.set()
        self.reset()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            pair = (client, server)
            self._pairs.add(pair)
            for ends in (pair, pair[::-1]):
                threading.Thread(target=self._pump, args=(*ends, pair), daemon=True).start()

    def _pump(self, source, sink, pair) -> None:
        try:
            while pair in self._pairs:
                if not select.select([source], [], [], LOOK_SECONDS)[0]:
                    continue
                data = source.recv(CHUNK)
                if not data:
                    break
                self._open.wait()
                if pair in self._forgotten:
                    continue
                if self.delay:
                    time.sleep(self.delay)
                sink.sendall(data)
                self.passed += len(data)
        except (OSError, ValueError):
            pass  # reset, by us or by an end
        finally:
            self._pairs.discard(pair)
            self._forgotten.discard(pair)
            for end in (source, sink):
                end.close()
