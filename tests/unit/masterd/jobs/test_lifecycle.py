"""A job's way, step by step, and its state by Ganeti's rule."""

import msgspec
import pytest

from pyganeti.masterd.jobs import lifecycle
from pyganeti.wire import jobfile
from pyganeti.wire.jobfile import Status

NOW = (1000, 5)


def job(*states: str) -> jobfile.Job:
    """Return a job whose opcodes are in these states."""
    return jobfile.Job(
        7, tuple(jobfile.Opcode({"OP_ID": "OP_X"}, Status(state)) for state in states)
    )


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("queued", "queued"),
        ("success", "success"),
        ("queued queued", "queued"),
        ("success queued", "queued"),
        ("waiting queued", "waiting"),
        ("success waiting queued", "waiting"),
        ("running queued", "running"),
        ("success running", "running"),
        ("success error error", "error"),
        ("canceled canceled", "canceled"),
        ("success canceling canceling", "canceling"),
        ("success success", "success"),
    ],
)
def test_a_jobs_state_is_its_opcodes(states: str, expected: str) -> None:
    """The rule of calcJobStatus in src/Ganeti/JQueue.hs."""
    assert lifecycle.status(job(*states.split())).value == expected


def test_the_priority_is_the_best_of_what_is_left() -> None:
    ops = tuple(
        msgspec.structs.replace(op, priority=level)
        for op, level in zip(job("success", "waiting", "queued").ops, (-20, 5, 3), strict=True)
    )
    mixed = jobfile.Job(7, ops)
    assert lifecycle.priority(mixed) == 3
    assert lifecycle.priority(job("success", "error")) == 0


def test_one_way_through() -> None:
    found = lifecycle.wait(job("queued", "queued"), 0, (1, 0))
    assert (found.start_timestamp, found.ops[0].start_timestamp) == ((1, 0), (1, 0))
    found = lifecycle.begin(found, 0, (2, 0), "/lock", 5)
    assert (found.ops[0].exec_timestamp, found.livelock, found.process_id) == ((2, 0), "/lock", 5)
    found = lifecycle.succeed(found, 0, [1], (3, 0))
    assert found.end_timestamp is None
    assert lifecycle.current(found) == 1
    found = lifecycle.wait(found, 1, (4, 0))
    assert found.start_timestamp == (1, 0)
    found = lifecycle.succeed(lifecycle.begin(found, 1, (5, 0), None, 5), 1, None, (6, 0))
    assert found.end_timestamp == lifecycle.ended_at(found) == (6, 0)
    assert lifecycle.current(found) is None
    assert lifecycle.is_ended(found)


def test_a_failure_takes_what_follows_with_it_and_leaves_what_was_done() -> None:
    found = lifecycle.fail(job("success", "running", "queued"), 1, ["OpExecError", ["x"]], NOW)
    assert [op.status.value for op in found.ops] == ["success", "error", "error"]
    assert found.ops[1].result == ["OpExecError", ["x"]]
    assert found.ops[2].result == ["OpExecError", ["Preceding opcode failed"]]
    assert found.end_timestamp == NOW


def test_canceling_and_canceled_leave_what_was_done() -> None:
    asked = lifecycle.request_cancel(job("success", "waiting", "queued"))
    assert [op.status.value for op in asked.ops] == ["success", "canceling", "canceling"]
    done = lifecycle.cancel(asked, NOW)
    assert [op.status.value for op in done.ops] == ["success", "canceled", "canceled"]
    assert done.ops[1].result == "Job canceled by request"


def test_the_steps_leave_the_job_they_got_as_it_was() -> None:
    found = job("waiting", "queued")
    before = jobfile.encode(found)
    lifecycle.begin(found, 0, NOW, None, 1)
    lifecycle.fail(found, 0, [], NOW)
    lifecycle.log(found, 0, (1, NOW, "message", "x"))
    lifecycle.prioritize(found, -3)
    lifecycle.requeue(found)
    assert jobfile.encode(found) == before
