"""Loopback ports for the embedded parts: the usual one when it is free, else one that stays free."""

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the range from which Linux and macOS take local ports of outgoing connections: a part that restarts must find
# its port free, and an outgoing connection of some other program could sit on a higher one.
STABLE_PORTS = range(20000, 32000)
ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Tell whether a server could listen on ``port`` of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of an earlier server that still linger in TIME_WAIT don't make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(preferred: int | None = None, *, avoid: frozenset[int] | set[int] = frozenset()) -> int:
    """Return ``preferred`` when it is free and not in ``avoid``, else a random free port that is not in ``avoid``."""
    if preferred is not None and preferred not in avoid and is_free(preferred):
        return preferred
    source = random.SystemRandom()
    for _ in range(ATTEMPTS):
        port = source.choice(STABLE_PORTS)
        if port not in avoid and is_free(port):
            return port
    raise OSError(f"no free port found between {STABLE_PORTS.start} and {STABLE_PORTS.stop}")
