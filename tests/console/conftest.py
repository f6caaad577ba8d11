import itertools
import time

import pytest

from tests.console import reports


class FakeTopic:
    """What the observer needs of the status topic, without Kafka."""

    def __init__(self):
        self.loaded = False
        self.position = 0
        self.end = 0
        self.is_away = False
        self._offsets = itertools.count()
        self._waiting = []

    def open(self):
        return True

    def put(self, *records):
        for record in records:
            self.put_raw(*reports.key_and_value(record))

    def tombstone(self, *records):
        for record in records:
            self.put_raw(record.key.encode(), None)

    def put_raw(self, key, value):
        self._waiting.append(FakeMessage(key, value, next(self._offsets)))
        self.end += 1

    def poll(self, _timeout_s):
        time.sleep(0.001)
        if self.is_away:
            return []
        taken, self._waiting = self._waiting, []
        self.position = self.end
        self.loaded = True
        return taken

    def beat(self):
        return not self.is_away

    def close(self):
        pass


class FakeMessage:
    def __init__(self, key, value, offset):
        self._key, self._value, self._offset = key, value, offset

    def key(self):
        return self._key

    def value(self):
        return self._value

    def offset(self):
        return self._offset


class Observed:
    """An observer that is stepped by hand, on a real Redis and a real database."""

    def __init__(self, observer, topic):
        self.observer, self.topic = observer, topic
        self.observer._is_reading = True

    def report(self, *records):
        self.topic.put(*records)
        self.settle()

    def settle(self, seconds=0.0):
        """Step until everything due has been published and recorded."""
        until = time.monotonic() + seconds
        while True:
            self.observer._due.clear()
            self.observer.step()
            if time.monotonic() >= until:
                break
            time.sleep(0.02)
        self.observer._due.clear()
        self.observer.step()
        self.observer.history.write()


class SilentPinger:
    def __init__(self):
        self.sent = []

    def send(self, groups, message):
        self.sent.append((tuple(groups), message))

    def close(self):
        pass


@pytest.fixture
def redis_client(redis_url):
    from console.observe import keys

    keys.client.cache_clear()
    with keys.client(redis_url) as client:
        yield client
    keys.client.cache_clear()


@pytest.fixture
def fresh_board(redis_client, monkeypatch):
    """The process's board as of its start, on the test's Redis, and never older than the question."""
    from console.observe import board

    reader = board.reader
    for name, value in vars(board.Reader(redis_client)).items():
        monkeypatch.setattr(reader, name, value)
    real = reader.read
    monkeypatch.setattr(reader, "read", lambda **_: real(fresh=True))
    return reader


@pytest.fixture
def observed(redis_client, fresh_board, db, monkeypatch):  # noqa: ARG001 - fixtures ask for fixtures by argument
    from console import limits
    from console.observe.lateness import Lateness
    from console.observe.observer import Observer

    # It beats when a test steps it and engines report when a test says so: a busy machine takes its time in between.
    for name in ("STALE_MS", "LATE_FLOOR_MS"):
        monkeypatch.setattr(limits, name, 60_000)
    topic = FakeTopic()
    observer = Observer(redis_client, SilentPinger(), topic=topic, lateness=Lateness(lambda _address: None))
    yield Observed(observer, topic)
    observer.lateness.close()


@pytest.fixture
def shop(observed):
    observed.report(*reports.shop())
    return observed


@pytest.fixture
def account(db, settings):  # noqa: ARG001 - fixtures ask for fixtures by argument
    from console.access import roles

    # A slow hash is for passwords that somebody might steal.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

    def make(role):
        return roles.ensure_account(f"{role}-user", role, "correct horse battery", f"token-of-the-{role}-for-tests")

    return make


@pytest.fixture
def as_role(account):
    """A page's client, signed in with a role, with CSRF checks as in production."""
    from django.test import Client

    def make(role, *, enforce_csrf_checks=False):
        client = Client(enforce_csrf_checks=enforce_csrf_checks)
        client.force_login(account(role))
        return client

    return make


@pytest.fixture
def with_token(account):
    from django.test import Client

    def make(role):
        account(role)
        return Client(enforce_csrf_checks=True, headers={"authorization": f"Bearer token-of-the-{role}-for-tests"})

    return make


@pytest.fixture
def engine(settings, tmp_path):
    """An engine's service, whose token the console has."""
    from tests.console.engine_double import TOKEN, EngineDouble

    (tmp_path / "token").write_text(TOKEN)
    settings.ENGINE_TOKEN_FILE = str(tmp_path / "token")
    double = EngineDouble()
    yield double
    double.close()


@pytest.fixture
def store_on_kafka(kafka, settings, observed, engine, tmp_path, monkeypatch):
    from console.jobs import states
    from tests.console.store_on_kafka import StoreOnKafka

    settings.KAFKA_BOOTSTRAP_SERVERS = kafka.bootstrap_servers
    monkeypatch.setattr(states.pinger, "send", lambda *_: None)
    return StoreOnKafka(kafka, observed, engine, tmp_path / "state" / "shop" / "0_0" / "counts")
