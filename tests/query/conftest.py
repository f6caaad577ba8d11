"""Real services over loopback, on fake instances."""

import sys

import httpx
import pytest

from engine.query.metadata import Metadata, Replica
from engine.query.service import QueryService, listen
from tests.query.fakes import PATIENCE_SECONDS, TOKEN, FakeInstance


class Served:
    """One instance with its service, and an HTTP client that carries the token."""

    def __init__(self, instance, token=TOKEN, more_routes=()):
        self.instance = instance
        self.metadata = Metadata()
        self.service = QueryService(instance, self.metadata, token, listen("127.0.0.1", 0), more_routes=more_routes)
        self.service.start()
        self.address = self.service.address
        headers = {"authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=self.address, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False)

    def get(self, path, **parameters):
        return self.http.get(path, params={name.rstrip("_"): value for name, value in parameters.items()})

    def entries(self, store, **parameters):
        return self.get(f"/v1/stores/{store}/entries", **parameters)

    def knows(self, other, *, age_ms=0):
        """Take over what another instance holds, as its status reports would say it."""
        self.metadata.put_member(other.instance.instance_id, other.address, "running", 1, age_ms)
        for handle in other.instance.handles():
            replica = Replica(
                other.instance.instance_id,
                handle.task,
                handle.partition,
                handle.role,
                handle.phase,
                handle.lag,
                handle.position,
                incarnation=1,
                sequence=1,
            )
            self.metadata.put_copy(handle.spec.name, replica)

    def stop(self):
        self.http.close()
        self.service.stop()


def serving():
    """Make services; all end with the generator."""
    interval = sys.getswitchinterval()
    running = []

    def make(instance=None, **options):
        served = Served(instance if instance is not None else FakeInstance(), **options)
        running.append(served)
        return served

    yield make
    for served in running:
        served.service.request_stop()
    for served in running:
        served.stop()
    sys.setswitchinterval(interval)


@pytest.fixture
def serve():
    """Services of one test."""
    yield from serving()


@pytest.fixture(scope="module")
def serve_all():
    """Services that a module's reading tests share: starting and ending one takes a fifth of a second."""
    yield from serving()
