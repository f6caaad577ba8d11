"""The HTTP service of an engine instance: Starlette on uvicorn, in a daemon thread with an event loop of its own.

The composition root creates one, starts it once the instance can describe itself, and stops it before the stores
close. It shares the interpreter with the loop thread, hence the short switch interval: with Python's 5 ms a busy loop
would make every query wait that long for its turn, several times over (DESIGN §6).
"""

import asyncio
import logging
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from engine.errors import ConfigError
from engine.query import limits, routes_entries, routes_instance, routes_largest, routes_storage
from engine.query.answers import on_crash, on_http_error, on_refusal
from engine.query.auth import TokenGate
from engine.query.fanout import Pages
from engine.query.forwarding import Forwarder, addressed
from engine.query.metadata import Metadata
from engine.query.ports import Instance
from engine.query.refusal import Refusal
from engine.query.routing import Router
from engine.query.service_parts import Parts, QueryCounter

_log = logging.getLogger(__name__)
_TOKEN_CHARS_MIN = 16
_ANY_HOST = frozenset({"0.0.0.0", "::"})  # noqa: S104 (recognised, not bound)


def listen(host: str, port: int) -> socket.socket:
    """Open the service's socket; port 0 takes a free one. Raises ConfigError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(1_024)
    except OSError as error:
        opened.close()
        raise ConfigError(f"cannot listen on {host}:{port} ({error.strerror}): choose another --listen") from error
    return opened


class QueryService:
    """Serves interactive queries for one instance.

    `more_routes` makes further routes behind the same gate (the control routes). `token` is shared by all instances
    of the application. `start` and `stop` belong to the thread that created the service; `queries.total` may be read
    from any.
    """

    def __init__(
        self,
        instance: Instance,
        metadata: Metadata,
        token: str,
        bound: socket.socket,
        *,
        advertised_host: str | None = None,
        more_routes: Sequence[BaseRoute] = (),
    ) -> None:
        if len(token) < _TOKEN_CHARS_MIN or not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigError(
                f"the query token must be at least {_TOKEN_CHARS_MIN} printable characters without spaces"
            )
        self._instance = instance
        self._metadata = metadata
        self._token = token
        self._socket = bound
        self._more_routes = list(more_routes)
        self.queries = QueryCounter()
        host, port = bound.getsockname()[:2]
        # Listening on every interface is no address that others could ask: the host's name is.
        shown = advertised_host or (socket.gethostname() if host in _ANY_HOST else host)
        self.address = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._failed: BaseException | None = None

    def __repr__(self) -> str:
        """Name the service without its token."""
        return f"<QueryService {self.address} of {self._instance.instance_id}>"

    def start(self, timeout_seconds: float = 10.0) -> None:
        """Start serving and wait until the service accepts; raises ConfigError when it does not."""
        sys.setswitchinterval(limits.SWITCH_INTERVAL_SECONDS)
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready.set,), name="query-service", daemon=True)
        self._thread.start()
        if not ready.wait(timeout_seconds) or self._failed is not None:
            raise ConfigError(f"the query service did not start on {self.address}: {self._failed or 'timed out'}")

    def request_stop(self) -> None:
        """Ask the service to end, without waiting."""
        if self._server is not None:
            self._server.should_exit = True

    def stop(self) -> None:
        """Let requests under way end within SHUTDOWN_SECONDS, then close; returns when the thread has ended."""
        self.request_stop()
        if self._thread is not None:
            self._thread.join(limits.SHUTDOWN_SECONDS + 2)
        self._socket.close()

    def _run(self, ready: Callable[[], None]) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve(ready))
        except BaseException as error:  # noqa: BLE001 (the thread's end is its starter's to report)
            self._failed = error
            _log.exception("query.service_failed %s", self.address)
        finally:
            ready()

    async def _serve(self, ready: Callable[[], None]) -> None:
        # A line a request is slow, and would put the readers' keys into a log; other logging set-ups switch it on.
        logging.getLogger("uvicorn.access").disabled = True
        forwarder = Forwarder(self._instance.application_id, self._instance.instance_id, self._token)
        threads = ThreadPoolExecutor(limits.READER_THREADS, thread_name_prefix="query-reader")
        try:
            config = uvicorn.Config(
                self._app(forwarder, threads),
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=limits.SHUTDOWN_SECONDS,
                h11_max_incomplete_event_size=limits.REQUEST_HEAD_BYTES_MAX,
            )
            self._server = server = _Server(config, ready)
            await server.serve(sockets=[self._socket])
        finally:
            await forwarder.close()
            threads.shutdown(wait=False, cancel_futures=True)

    def _app(self, forwarder: Forwarder, threads: ThreadPoolExecutor) -> ASGIApp:
        router = Router(self._instance, self._metadata)
        parts = Parts(
            instance=self._instance,
            address=self.address,
            metadata=self._metadata,
            router=router,
            forwarder=forwarder,
            pages=Pages(self._instance, router, forwarder, threads),
            threads=threads,
            queries=self.queries,
        )
        app = Starlette(
            routes=[
                *routes_entries.routes(parts),
                *routes_instance.routes(parts),
                *routes_largest.routes(parts),
                *routes_storage.routes(parts),
                *self._more_routes,
            ],
            exception_handlers={Refusal: on_refusal, HTTPException: on_http_error, Exception: on_crash},
        )
        app.router.redirect_slashes = False
        return TokenGate(app, self._token, addressed(self._instance.application_id, self._instance.instance_id))


class _Server(uvicorn.Server):
    """uvicorn's server, telling when it accepts."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open, then tell."""
        await super().startup(sockets)
        self._ready()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Take uvloop where it exists (not on Windows): twice the requests of asyncio's own loop."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
