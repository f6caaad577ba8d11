"""Questions that tell whether a part serves. Each answers within two seconds and raises nothing that a caller must handle."""

import http.client
import socket
from collections.abc import Callable

TIMEOUT_SECONDS = 2.0
OK = 200


def http_ok(host: str, port: int, path: str) -> Callable[[], bool]:
    """Return a probe that is satisfied by status 200 for ``GET path``."""

    def probe() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe


def connects(host: str, port: int) -> bool:
    """Tell whether something listens at this address."""
    try:
        socket.create_connection((host, port), timeout=TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True
