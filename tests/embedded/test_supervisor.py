"""Parts start in order, come back when they die, stop in reverse, and say why they can't start."""

import os
import signal
import sys
import time
from types import SimpleNamespace

import pytest

from engine.embedded import supervised as supervised_module
from engine.embedded import up_file
from engine.embedded.failure import StartFailure
from engine.embedded.part import Kind, Part, waves
from engine.embedded.process import Command
from engine.embedded.supervised import State
from engine.embedded.supervisor import Supervisor

# Notes its start and its clean end in a file that all parts share, and which process it is.
NOTING = """
import os, pathlib, signal, sys, time
name, path = sys.argv[1], sys.argv[2]
def note(word):
    with open(path, "a") as file:
        file.write(f"{word} {name}\\n")
def end(*_):
    time.sleep(0.1)
    note("end")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("start")
pathlib.Path(path).with_name(f"{name}.new").write_text(str(os.getpid()))
os.replace(pathlib.Path(path).with_name(f"{name}.new"), pathlib.Path(path).with_name(f"{name}.pid"))
time.sleep(600)
"""


@pytest.fixture
def notes(tmp_path):
    return tmp_path / "notes"


@pytest.fixture
def noting(tmp_path, notes, alive):
    def part(name, *, after=(), **more):
        command = Command([sys.executable, "-c", NOTING, name, str(notes)], tmp_path / f"{name}.log", stop_seconds=5)
        # This very process has to be there: one that was killed has left its notes behind.
        return Part(
            name, command, after=after, ready=lambda: alive([int((tmp_path / f"{name}.pid").read_text())]), **more
        )

    return part


@pytest.fixture
def python(tmp_path):
    def part(name, code, kind=Kind.SERVICE, **more):
        return Part(name, Command([sys.executable, "-c", code], tmp_path / f"{name}.log", stop_seconds=2), kind, **more)

    return part


@pytest.fixture
def supervise():
    made = []

    def make(parts, listener=lambda _part: None):
        made.append(Supervisor(parts, listener))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop()


@pytest.fixture
def short_back_off(monkeypatch):
    monkeypatch.setattr(supervised_module, "BACK_OFF_FIRST_SECONDS", 0.1)


def test_parts_start_in_the_order_of_their_dependencies_and_stop_in_reverse(noting, notes, supervise):
    supervisor = supervise([noting("c", after=("b",)), noting("a"), noting("b", after=("a",))])
    assert supervisor.start()
    assert supervisor.stop() == []
    assert notes.read_text().split("\n")[:-1] == ["start a", "start b", "start c", "end c", "end b", "end a"]


def test_a_step_is_over_before_what_comes_after_it_starts(python, noting, notes, supervise):
    step = python("step", f"import time; time.sleep(0.5); open({str(notes)!r}, 'a').write('step\\n')", Kind.STEP)
    supervise([noting("a", after=("step",)), step]).start()
    assert notes.read_text() == "step\nstart a\n"


@pytest.mark.usefixtures("short_back_off")
def test_a_part_that_dies_comes_back_as_another_process(noting, supervise):
    states = []
    supervisor = supervise([noting("a")], lambda one: states.append(one.state))
    supervisor.start()
    (part,) = supervisor.parts
    first = part.pid
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 60
    supervisor.run(lambda: part.restarts < 1 and time.monotonic() < deadline)
    supervisor.run(lambda: (part.state is not State.SERVING or part.pid is None) and time.monotonic() < deadline)
    assert part.state is State.SERVING
    assert part.pid not in {None, first}
    assert part.exit_code == -signal.SIGKILL
    assert states == [State.STARTING, State.SERVING, State.BACKING_OFF, State.STARTING, State.SERVING]


@pytest.mark.usefixtures("short_back_off")
def test_a_part_that_the_system_refuses_to_start_once_is_started_again_later(noting, supervise, tmp_path):
    supervisor = supervise([noting("a"), noting("b")])
    supervisor.start()
    part, other = supervisor.parts
    log = tmp_path / "a.log"
    log.rename(tmp_path / "elsewhere")
    log.mkdir()
    first, deadline = other.pid, time.monotonic() + 60
    os.kill(part.pid, signal.SIGKILL)
    supervisor.run(lambda: part.refused is None and time.monotonic() < deadline)
    assert part.state is State.BACKING_OFF
    assert part.pid is None
    log.rmdir()
    supervisor.run(lambda: (part.state is not State.SERVING or part.pid is None) and time.monotonic() < deadline)
    assert part.state is State.SERVING
    assert other.pid == first


def test_a_part_that_the_system_never_starts_is_told_with_its_reason(noting, supervise, tmp_path):
    (tmp_path / "a.log").mkdir()
    with pytest.raises(StartFailure, match=r"a did not start: .*Is a directory"):
        supervise([noting("a")]).start()


def test_a_disk_that_does_not_take_up_json_is_asked_again(caplog):
    taken, refuses = [], [True, True, False]

    def write_private(name, text):
        if refuses.pop(0):
            raise OSError(28, "No space left on device")
        taken.append((name, text))

    stack = SimpleNamespace(
        data=SimpleNamespace(write_private=write_private),
        **dict.fromkeys(("url", "password", "token", "bootstrap_servers", "redis_url")),
    )
    written = up_file.UpFile(stack)
    for _ in range(4):
        written.write([])
    assert [name for name, _ in taken] == ["up.json"]
    assert caplog.text.count("No space left") == 1


@pytest.mark.usefixtures("short_back_off")
def test_the_back_off_grows_with_each_death_in_a_row(noting, supervise):
    supervisor = supervise([noting("a")])
    supervisor.start()
    (part,) = supervisor.parts
    waits = []
    for turn in range(3):
        supervisor.run(lambda turn=turn: part.state is not State.SERVING or part.restarts < turn or part.pid is None)
        os.kill(part.pid, signal.SIGKILL)
        supervisor.run(lambda: part.state is not State.BACKING_OFF)
        waits.append(part.back_off_seconds)
    assert waits == pytest.approx([0.1, 0.2, 0.4])


def test_a_task_that_ends_well_is_not_started_again(python, supervise):
    supervisor = supervise([python("task", "", Kind.TASK)])
    supervisor.start()
    (part,) = supervisor.parts
    until = time.monotonic() + 0.5
    supervisor.run(lambda: time.monotonic() < until)
    assert (part.state, part.restarts) == (State.DONE, 0)


def test_a_part_that_ignores_sigterm_is_killed_after_its_time(python, supervise, alive):
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    supervisor = supervise([python("deaf", code)])
    supervisor.start()
    pid = supervisor.parts[0].pid
    began = time.monotonic()
    assert supervisor.stop() == ["deaf"]
    assert 1.5 < time.monotonic() - began < 4.5
    assert alive([pid]) == []


@pytest.mark.usefixtures("short_back_off")
def test_a_step_that_fails_is_told_with_its_last_words(python, supervise, tmp_path):
    code = (
        "import os, sys; print('the disk is on fire.'); print('%4|1.5|GETPID|rdkafka#producer-1| noise'); sys.exit(1)"
    )
    step = python("database", code, Kind.STEP, remedy="Put it out.")
    with pytest.raises(StartFailure) as failure:
        supervise([step]).start()
    log = tmp_path / "database.log"
    assert str(failure.value) == (
        f"database did not start: the disk is on fire. Put it out. The whole story is in {log}."
    )


@pytest.mark.usefixtures("short_back_off")
def test_a_step_that_fails_once_is_run_again(python, noting, notes, supervise, tmp_path):
    mark = str(tmp_path / "mark")
    code = f"import os, sys; tried = os.path.exists({mark!r}); open({mark!r}, 'w').close(); sys.exit(not tried)"
    supervisor = supervise([python("step", code, Kind.STEP), noting("a", after=("step",))])
    assert supervisor.start()
    assert notes.read_text() == "start a\n"


@pytest.mark.usefixtures("short_back_off")
def test_a_service_that_can_not_start_is_tried_three_times(python, supervise):
    service = python("web", "import sys; sys.exit('no')", ready=lambda: False)
    supervisor = supervise([service])
    with pytest.raises(StartFailure, match=r"^web did not start: no\."):
        supervisor.start()
    assert supervisor.parts[0].restarts == 2


def test_a_service_that_never_answers_is_given_up_after_its_time(python, supervise):
    service = python("web", "import time; time.sleep(600)", ready=lambda: False, start_seconds=0.5)
    with pytest.raises(StartFailure, match=r"^web did not answer within 0 s|^web did not answer within 1 s"):
        supervise([service]).start()


@pytest.mark.usefixtures("short_back_off")
def test_a_command_that_does_not_exist_is_told(tmp_path, supervise):
    missing = Part("ghost", Command(["/no/such/program"], tmp_path / "ghost.log"))
    with pytest.raises(StartFailure, match=r"ghost did not start: /no/such/program can't be started: "):
        supervise([missing]).start()


def test_a_probe_that_raises_counts_as_no(noting, supervise):
    asked = []

    def ready():
        asked.append(1)
        if len(asked) < 3:
            raise RuntimeError("not yet")
        return True

    part = noting("a")
    supervisor = supervise([Part("a", part.command, ready=ready)])
    assert supervisor.start()
    assert len(asked) == 3


def test_starting_stops_when_told_to(python, supervise):
    supervisor = supervise([python("web", "import time; time.sleep(600)", ready=lambda: False)])
    answers = iter([True, True, False])
    assert supervisor.start(lambda: next(answers)) is False


def test_parts_that_wait_for_each_other_are_refused(python):
    a, b = python("a", "", after=("b",)), python("b", "", after=("a",))
    with pytest.raises(ValueError, match="wait for each other: a, b"):
        waves([a, b])


def test_a_part_after_an_unknown_one_is_refused(python):
    with pytest.raises(ValueError, match="a comes after ghost, which is no part"):
        waves([python("a", "", after=("ghost",))])


def test_a_descriptor_lent_to_the_launcher_does_not_reach_the_command(tmp_path):
    readable, writable = os.pipe()
    code = f"import os, sys; os.set_blocking({writable}, False)"
    part = Part("a", Command([sys.executable, "-c", code], tmp_path / "a.log"), Kind.STEP)
    supervisor = Supervisor([part], lend=(writable,))
    try:
        with pytest.raises(StartFailure, match="Bad file descriptor"):
            supervisor.start()
    finally:
        supervisor.stop()
        os.close(readable)
        os.close(writable)
