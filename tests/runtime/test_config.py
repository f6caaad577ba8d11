"""Settings: what is refused, with which words, and what the environment gives."""

import pytest

from engine.client_settings import ALLOWED
from engine.config import AT_LEAST_ONCE, EngineConfig
from engine.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"application_id": "a/b"}, "application id"),
        ({"guarantee": "exactly_twice"}, "guarantee"),
        ({"transaction_timeout_ms": 10_000}, "must be below session_timeout_ms"),
        ({"session_timeout_ms": 60_000, "transaction_timeout_ms": 70_000}, "must be below session_timeout_ms"),
        ({"commit_interval_ms": 9_000}, "must be below transaction_timeout_ms"),
        ({"poll_records": 0}, "poll_records"),
        ({"poll_records": 10**9}, "at most"),
        ({"listen": "nowhere"}, "host:port"),
        ({"deserialization_handler": "dead-letter"}, "dead_letter_topic"),
        ({"offset_reset": "middle"}, "offset_reset"),
        ({"bootstrap_servers": " "}, "bootstrap_servers"),
        ({"replication_factor": 0}, "replication_factor"),
        ({"replication_factor": None}, "replication_factor is None: give a whole number"),
        ({"poll_records": True}, "poll_records is True: give a whole number"),
        ({"session_timeout_ms": "10 s"}, "session_timeout_ms is '10 s': give a whole number"),
        ({"caching": "no"}, "caching is 'no': give True or False"),
        ({"bootstrap_servers": ["a:9092"]}, "bootstrap_servers is .*: give text"),
        ({"listen": 8080}, "listen is 8080: give text"),
        ({"state_dir": 5}, "state_dir is 5: give a path"),
        ({"state_dir": ""}, "state_dir is empty"),
        ({"topic_settings": {"retention.ms": 5}}, "topic_settings .*as text"),
        ({"client_settings": []}, "client_settings is .*: give names and values"),
    ],
)
def test_a_wrong_setting_is_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        EngineConfig(**{"application_id": "shop", **settings})


@pytest.mark.parametrize(
    "name",
    [
        "plugin.library.paths",
        "sasl.kerberos.kinit.cmd",
        "ssl.engine.location",
        "ssl.keystore.location",
        "ssl.crl.location",
        "sasl.oauthbearer.token.endpoint.url",
        "enable.auto.commit",
        "transactional.id",
        "debug",
        "opaque",
    ],
)
def test_client_settings_that_could_do_harm_are_refused(name):
    with pytest.raises(ConfigError, match="cannot be given"):
        EngineConfig("shop", client_settings={name: "x"})


def test_the_allowed_client_settings_name_no_other_files():
    assert {name for name in ALLOWED if name.endswith("location")} == {
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
    }


def test_commit_intervals_are_kafka_streams_own():
    assert EngineConfig("shop").commit_every_ms == 100
    assert EngineConfig("shop", guarantee=AT_LEAST_ONCE).commit_every_ms == 30_000


def test_the_environment_fills_what_was_not_given():
    environment = {
        "ENGINE_APPLICATION_ID": "shop",
        "ENGINE_COMMIT_INTERVAL_MS": "250",
        "ENGINE_CACHING": "false",
        "ENGINE_STATE_DIR": "/srv/x",
        "ENGINE_CLIENT_SETTINGS": "security.protocol=SSL, ssl.ca.location=/ca.pem",
        "ENGINE_LISTEN": "",
    }
    found = EngineConfig.from_environment(environment, commit_interval_ms=None, instance_id="one")
    assert (found.application_id, found.commit_every_ms, found.caching) == ("shop", 250, False)
    assert found.client_settings == {"security.protocol": "SSL", "ssl.ca.location": "/ca.pem"}
    assert (str(found.state_dir), found.instance_id) == ("/srv/x", "one")
    assert EngineConfig.from_environment(environment, commit_interval_ms=300).commit_every_ms == 300


@pytest.mark.parametrize(("name", "text"), [("ENGINE_CACHING", "perhaps"), ("ENGINE_POLL_RECORDS", "many")])
def test_an_unreadable_variable_is_named(name, text):
    with pytest.raises(ConfigError, match=name):
        EngineConfig.from_environment({"ENGINE_APPLICATION_ID": "shop", name: text})


def test_a_pair_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"ENGINE_TOPIC_SETTINGS 'retention.ms' is no name=value pair"):
        EngineConfig.from_environment({"ENGINE_APPLICATION_ID": "shop", "ENGINE_TOPIC_SETTINGS": "retention.ms"})


def test_a_misspelt_variable_is_told_and_another_programs_is_not(caplog):
    environment = {"ENGINE_APPLICATION_ID": "shop", "ENGINE_COMMIT_INTERVAL": "5", "ENGINE_COLOUR": "red"}
    assert EngineConfig.from_environment(environment).commit_interval_ms is None
    assert [record.getMessage() for record in caplog.records] == [
        "ENGINE_COMMIT_INTERVAL is no setting and is ignored: did you mean ENGINE_COMMIT_INTERVAL_MS?"
    ]


def test_no_secret_is_shown():
    assert "hunter2" not in repr(EngineConfig("shop", client_settings={"sasl.password": "hunter2"}))


@pytest.mark.parametrize(
    ("cores", "given", "processes"),
    [(1, None, 0), (2, None, 0), (4, None, 2), (32, None, 4), (32, 0, 0), (2, 3, 3), (None, None, 0)],
)
def test_large_restores_have_processes_where_there_are_cores_unless_said_otherwise(
    monkeypatch, cores, given, processes
):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert EngineConfig("shop", restore_processes=given).restore_process_count == processes


def test_instances_of_one_command_are_members_apart(tmp_path, monkeypatch):
    """Members of one static id fence each other."""
    from engine.management.commands.engine import SETTINGS, _instances

    options = {
        **dict.fromkeys(SETTINGS),
        "build": "shop:build",
        "instances": 2,
        "state_dir": tmp_path,
        "token_file": tmp_path / "token",
        "client_settings": None,
        "stop_when_caught_up": False,
    }
    monkeypatch.setenv("ENGINE_GROUP_INSTANCE_ID", "from-outside")
    for given, member in (("here", "here"), (None, "from-outside")):
        lines = _instances({**options, "group_instance_id": given})
        members = [line[line.index("--group-instance-id") + 1] for line in lines]
        assert members == [f"{member}-1", f"{member}-2"]
    monkeypatch.delenv("ENGINE_GROUP_INSTANCE_ID")
    assert not any("--group-instance-id" in line for line in _instances(options))
