"""Commands: once per job, one per copy, with a table of phases."""

import threading

import pytest

from engine.control.commands import Command, CommandConflict, Commands, CommandUnknown, LoopQueue, Order

SWAP = Order("swap", "counts", 3, "job-1", "g00000002")


class Runner:
    def __init__(self):
        self.begun = []
        self.refuse = None

    def begin(self, command):
        if self.refuse:
            raise self.refuse
        self.begun.append(command.order)

    def tasks(self):
        return [{"task": "0_3", "stores": []}]


@pytest.fixture
def commands():
    return Commands(Runner())


def test_a_job_sent_again_is_the_same_command(commands):
    first = commands.start(SWAP)
    assert commands.start(SWAP) is first
    first.move("replaying", position=5, end=9)
    first.move("waiting-for-commit")
    first.move("swapped")
    assert commands.start(SWAP) is first
    assert commands.runner.begun == [SWAP]


def test_a_job_id_cannot_mean_two_things(commands):
    commands.start(SWAP)
    with pytest.raises(CommandConflict, match="job-1"):
        commands.start(Order("swap", "counts", 3, "job-1", "g00000003"))


def test_two_commands_do_not_work_on_one_copy(commands):
    running = commands.start(SWAP)
    with pytest.raises(CommandConflict, match="job-1"):
        commands.start(Order("compact", "counts", 3, "job-2"))
    commands.start(Order("compact", "counts", 4, "job-3"))
    running.fail("disk full")
    commands.start(Order("compact", "counts", 3, "job-2"))


def test_what_the_runner_refuses_can_be_sent_again(commands):
    commands.runner.refuse = ValueError("g00000002 is not staged")
    with pytest.raises(ValueError, match="not staged"):
        commands.start(SWAP)
    commands.runner.refuse = None
    commands.start(SWAP)
    assert commands.runner.begun == [SWAP]


def test_a_job_is_asked_for_with_its_copy(commands):
    command = commands.start(SWAP)
    assert commands.get("swap", "counts", 3, "job-1") is command
    for wrong in [("compact", "counts", 3, "job-1"), ("swap", "other", 3, "job-1"), ("swap", "counts", 4, "job-1")]:
        with pytest.raises(CommandUnknown):
            commands.get(*wrong)


def test_phases_follow_their_table():
    command = Command(SWAP)
    with pytest.raises(ValueError, match="no way from queued to done"):
        command.move("done")
    command.move("replaying", position=1)
    command.move("replaying", position=2)
    with pytest.raises(ValueError, match="no fact"):
        command.move("replaying", bytes_before=1)
    command.move("waiting-for-commit")
    command.move("swapped")
    with pytest.raises(ValueError, match="no way"):
        command.move("replaying")
    command.fail("too late")
    assert command.progress() == {
        "job": "job-1",
        "phase": "swapped",
        "cancelling": False,
        "position": 2,
        "end": None,
        "error": None,
    }


def test_a_queued_command_is_cancelled_at_once_and_a_running_one_is_asked():
    queued, running, ended = Command(SWAP), Command(SWAP), Command(SWAP)
    assert queued.request_cancel()
    assert queued.phase == "cancelled"
    running.move("replaying")
    assert running.request_cancel()
    assert (running.phase, running.cancel_requested) == ("replaying", True)
    ended.fail("x")
    assert not ended.request_cancel()


def test_a_lost_copy_ends_its_commands(commands):
    lost, kept = commands.start(SWAP), commands.start(Order("compact", "counts", 4, "job-3"))
    commands.fail_all("counts", 3, "task 0_3 has moved")
    assert lost.progress()["error"] == "task 0_3 has moved"
    assert not kept.ended


def test_ended_commands_are_forgotten_in_the_end_and_running_ones_are_not(commands):
    running = commands.start(SWAP)
    for number in range(700):
        commands.start(Order("compact", "counts", 4, f"c-{number}")).fail("x")
    assert commands.get("swap", "counts", 3, "job-1") is running
    with pytest.raises(CommandUnknown):
        commands.get("compact", "counts", 4, "c-0")
    assert commands.get("compact", "counts", 4, "c-699").ended


def test_the_same_job_from_many_threads_begins_once(commands):
    threads = [threading.Thread(target=commands.start, args=(SWAP,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert commands.runner.begun == [SWAP]


def test_the_loop_runs_calls_in_order_and_survives_one_that_fails(caplog):
    queue, done = LoopQueue(), []
    queue.submit(lambda: done.append(1))
    queue.submit(lambda: 1 / 0)
    queue.submit(lambda: done.append(2))
    assert queue.run() == 3
    assert done == [1, 2]
    assert "ZeroDivisionError" in caplog.text
    assert queue.run() == 0


def test_the_loop_gives_calls_no_more_than_their_time():
    queue = LoopQueue()
    for _ in range(3):
        queue.submit(lambda: None)
    assert queue.run(budget_ms=0) == 1
    assert len(queue) == 2
