"""`manage.py engine chaos`, the command itself: what it exits with, what it prints, what it leaves."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.control import application_records
from engine.embedded import ports
from engine.management import chaos as command_line
from engine.management.commands.engine import SETTINGS
from engine.testing.chaos_cluster import Cluster
from tests.faults.lengths import SEED
from tests.runtime.harness import PATIENCE_SECONDS, eventually

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(420)


def manage(*arguments):
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def command(*options):
    told = manage("engine", "chaos", *options, "--instances", "2", "--seed", str(SEED), "--every", "0.1", "1")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(told, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.kafka
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_on_the_cluster(kafka, number):
    seed = str(500_000 + number)
    started = manage(
        "engine", "chaos", "tests.faults.topologies:counts", "--seed", seed, "--session-timeout-ms", "4000"
    )
    cluster = Cluster({"bootstrap.servers": kafka.bootstrap_servers})
    with subprocess.Popen(
        [*started, "--bootstrap-servers", kafka.bootstrap_servers, "--num-standby-replicas", "1", "--every", "1", "1"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as running:
        eventually(lambda: "for" in running.stderr.readline(), "the first fault")
        (application,) = {t.rpartition("-by-")[0] for t in cluster.topics(f"chaos-{seed}-") if t.endswith("-changelog")}
        running.send_signal(number)
        assert running.wait(PATIENCE_SECONDS) == 130
        assert "interrupted: no verdict" in running.stderr.read()
    assert cluster.topics(f"chaos-{seed}-") == []
    assert application_records.keys(cluster.client, application) == []
    groups = cluster._admin.list_consumer_groups().result().valid
    assert application not in {group.group_id for group in groups}


def test_what_a_run_chooses_itself_is_refused_and_every_other_option_reaches_the_instances(capsys):
    given = dict.fromkeys(SETTINGS) | {"seed": 1, "stop_when_caught_up": None}
    for name in command_line.CHOSEN:
        assert command_line.run({**given, name: "mine"}) == 2
        assert f"--{name.replace('_', '-')} itself" in capsys.readouterr().err
    own = {"bootstrap_servers", "guarantee", "session_timeout_ms"}
    assert {*command_line.PASSED_ON, *command_line.CHOSEN} - {"stop_when_caught_up"} == SETTINGS.keys() - own


@pytest.mark.kafka
def test_the_command_ends_a_broker_of_its_own_and_reports_as_json():
    ran = command(
        *("tests.faults.topologies:counts", "--json", "--records", "2000", "--faults", "3"),
        *("--kinds", "broker-kill,broker-stop", "--guarantee", "at_least_once", "--commit-interval-ms", "200"),
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "starting a Kafka for this run" in ran.stderr
    report = json.loads(ran.stdout)
    assert (report["holds"], report["seed"], report["records"], report["instances"]) == (True, SEED, 2_000, 2)
    assert set(report["faults"]) <= {"broker-kill", "broker-stop"}
    assert sum(report["faults"].values()) == 3
    assert all(check["holds"] for check in report["checks"])


@pytest.mark.kafka
def test_the_command_finds_a_topology_that_forgets(kafka):
    ran = command(
        *("tests.faults.topologies:forgetful", "--bootstrap-servers", kafka.bootstrap_servers),
        *("--records", "2000", "--faults", "2", "--kinds", "kill", "--session-timeout-ms", "4000"),
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    fails = [line.partition(":")[0] for line in ran.stdout.splitlines() if line.startswith("  FAILS")]
    assert len(fails) == 2
    assert fails[0].endswith(".out == reference")
    assert fails[1].endswith(".out, record for record")
    assert f"run it again with --seed {SEED} --keep" in ran.stdout


@pytest.mark.kafka
def test_the_command_says_what_keeps_it_from_running(kafka):
    for options, words in (
        (("--kinds", "broker-kill", "--bootstrap-servers", kafka.bootstrap_servers), "leave --bootstrap-servers out"),
        (("--application-id", "mine"), "--application-id itself: leave it out"),
        (("--bootstrap-servers", f"127.0.0.1:{ports.choose()}"), "chaos could not be run"),
    ):
        ran = command("tests.faults.topologies:counts", *options)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert words in ran.stderr


@pytest.mark.parametrize(
    ("build", "words"), [("raises", "raised LookupError: no such topology"), ("none", "no function")]
)
def test_a_topology_that_cannot_be_built_starts_no_kafka(build, words):
    ran = command(f"tests.faults.topologies:{build}")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert words in ran.stderr
    assert "starting a Kafka" not in ran.stderr
