"""The embedded Redis asks for its password and keeps what it was given."""

import os
import stat

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.embedded import ports
from engine.embedded import redis as embedded_redis
from engine.embedded.failure import StartFailure
from engine.embedded.redis import RunningRedis, server_program


@pytest.mark.redis
def test_a_value_outlives_a_stop_and_nobody_enters_without_the_password(tmp_path):
    port = ports.choose()
    with RunningRedis(tmp_path, port, "secret") as running:
        with redis.Redis.from_url(running.redis.url) as client:
            client.set("kept", "yes")
        with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    assert stat.S_IMODE((tmp_path / "redis.conf").stat().st_mode) == 0o600
    with RunningRedis(tmp_path, port, "secret") as running, redis.Redis.from_url(running.redis.url) as client:
        assert client.get("kept") == b"yes"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_server_on_the_path_is_used_where_the_wheel_has_none(tmp_path, monkeypatch):
    valkey = tmp_path / "valkey-server"
    valkey.write_text("#!/bin/sh\n")
    valkey.chmod(0o755)
    monkeypatch.setattr(embedded_redis, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server_program() == valkey


def test_no_server_at_all_is_one_sentence_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded_redis, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartFailure, match=r"^No Redis server was found: .* Install one of them, or set REDIS_URL"):
        server_program()


def test_the_wheel_s_server_can_be_executed():
    program = server_program()
    assert os.access(program, os.X_OK)
