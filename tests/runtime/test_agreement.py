"""An instance that starts before its cluster answers: it waits, goes on by itself, and hears a stop meanwhile."""

import contextlib
import logging
import time

import pytest

from engine import instance
from engine.embedded import ports
from engine.runtime.producer import Producer
from tests.faults.proxy import Proxy
from tests.runtime import programs
from tests.runtime.harness import committed_offsets, config, create, eventually, produce, running
from tests.stack import KafkaUnderTest

pytestmark = pytest.mark.kafka


def says(caplog, words):
    return any(words in record.getMessage() for record in caplog.records)


def test_an_instance_waits_for_its_cluster_and_goes_on_by_itself(kafka, tmp_path, caplog):
    name = kafka.unique("early")
    create(kafka, programs.input_topic(name))
    create(kafka, programs.output_topic(name))
    produce(kafka, programs.input_topic(name), [(b"k", b"v")] * 100)
    caplog.set_level(logging.WARNING, "engine.runtime.agreement")
    port = ports.choose()
    settings = config(KafkaUnderTest(f"127.0.0.1:{port}", kafka.pid), name, tmp_path / "state")
    with running(programs.counts(name), settings) as engine:
        eventually(lambda: says(caplog, f"no broker answers at 127.0.0.1:{port}"), "the warning")
        assert engine.state() == "starting"
        proxy = Proxy(port, int(kafka.bootstrap_servers.rpartition(":")[2]))
        try:
            eventually(lambda: committed_offsets(kafka, name, programs.input_topic(name), 1) == {0: 100}, "all of it")
        finally:
            proxy.close()
        assert engine.error is None


def test_a_stop_is_heard_while_nobody_answers_about_transactions(kafka, tmp_path, caplog, monkeypatch):
    """As after a broker's start, while it reads its transactions; what was settled before it stands."""
    name = kafka.unique("early")
    create(kafka, programs.input_topic(name))
    create(kafka, programs.output_topic(name))
    caplog.set_level(logging.WARNING, "engine.runtime.transaction")
    port = ports.choose()
    proxy = Proxy(port, int(kafka.bootstrap_servers.rpartition(":")[2]))
    with contextlib.closing(proxy), contextlib.ExitStack() as silence:

        def in_silence(*given):
            silence.enter_context(proxy.hole())
            return Producer(*given)

        monkeypatch.setattr(instance, "Producer", in_silence)
        settings = config(KafkaUnderTest(f"127.0.0.1:{port}", kafka.pid), name, tmp_path / "state")
        with running(programs.counts(name), settings) as engine:
            eventually(lambda: says(caplog, "transactions could not be initialised"), "the warning")
            began = time.monotonic()
            engine.stop()
            assert time.monotonic() - began < 10
            assert engine.error is None


def test_a_stop_is_heard_while_nobody_answers(kafka, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "engine.runtime.agreement")
    nobody = KafkaUnderTest(f"127.0.0.1:{ports.choose()}", kafka.pid)
    with running(programs.counts("early"), config(nobody, "early", tmp_path / "state")) as engine:
        eventually(lambda: says(caplog, "no broker answers"), "the warning")
        began = time.monotonic()
        engine.stop()
        assert time.monotonic() - began < 10
        assert engine.error is None
