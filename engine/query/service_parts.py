"""What the routes share: the instance, the routing and the threads of one service."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from engine.query.fanout import Pages
from engine.query.forwarding import Forwarder
from engine.query.metadata import Metadata
from engine.query.ports import Instance
from engine.query.routing import Router


class QueryCounter:
    """Counts questions; written on the event loop only, read by the status report."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, count: int = 1) -> None:
        """Count questions, one per key of a multi-get."""
        self.total += count


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a running service; `address` is its own."""

    instance: Instance
    address: str
    metadata: Metadata
    router: Router
    forwarder: Forwarder
    pages: Pages
    threads: ThreadPoolExecutor
    queries: QueryCounter = field(default_factory=QueryCounter)
