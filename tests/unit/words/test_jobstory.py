from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import examples
from pyganeti.wire import reasontrail, stopjobs
from pyganeti.words import jobstory, trails

_T = 1_700_000_000.0
_STOP = examples.a_stop(1, name="web1", stopped=_T)
_PEER = (reasontrail.PEER, "pid=7;uid=0;user=root;login=alice;node=node1", 3)
_COMMAND = ("gnt:client:gnt-instance", "shutdown", 2)
_OPCODE = ("gnt:opcode:instance_shutdown", "job=42;index=0", 4)
_BY_ALICE = [("gnt:user", "disk\x1b[2J", 1), _COMMAND, _PEER, _OPCODE]


def a_job(**changes: Any) -> stopjobs.Job:
    job = stopjobs.Job(
        id=42,
        bearing=stopjobs.Bearing.ENDED,
        status="success",
        summary=["INSTANCE_SHUTDOWN(web1)"],
        received=_T - 2,
        started=_T - 1.5,
        ended=_T + 0.5,
        reason=_BY_ALICE,
    )
    return msgspec.structs.replace(job, **changes)


@pytest.mark.parametrize(
    ("trail", "said"),
    [
        (_BY_ALICE, "by root (logged in as alice) on node1 with gnt-instance shutdown"),
        ([_COMMAND, _OPCODE], "with gnt-instance shutdown"),
        ([(reasontrail.PEER, "pid=7;uid=4242", 1)], "by user 4242"),
        ([("gnt:library:rlib2:R_2_instances", "POST", 1)], "with the REST interface"),
        ([("gnt:watcher", "cause=killed;try=1;stop=k", 1), _PEER], "by the watcher"),
        ([_OPCODE], ""),
        (None, ""),
    ],
)
def test_an_author_is_named_by_what_is_known(trail: Any, said: str) -> None:
    assert trails.author(trail) == said


def told(*jobs: stopjobs.Job) -> str:
    return " ".join(jobstory.sentences(_STOP, jobs))


def test_the_job_that_ended_it_is_told_with_its_author_and_reason() -> None:
    assert told(a_job()) == (
        "It was job 42, INSTANCE_SHUTDOWN(web1), submitted by root (logged in as alice) on node1"
        " with gnt-instance shutdown for the reason “disk\\x1b[2J”; it ended well after 2s."
    )
    assert told(a_job(reason=[], status="error", error="no such thing.")) == (
        "It was job 42, INSTANCE_SHUTDOWN(web1); it failed: no such thing."
    )


def test_what_the_watcher_did_is_told_with_its_try() -> None:
    text = reasontrail.recovery_text(reasontrail.Recovery("killed", 3, _STOP.key))
    job = a_job(
        bearing=stopjobs.Bearing.RECOVERY,
        summary=["INSTANCE_STARTUP(web1)"],
        received=_T + 0.4,
        started=None,
        ended=None,
        status="running",
        reason=[(reasontrail.WATCHER, text, 1)],
    )
    assert told(job) == (
        "The watcher submitted job 42, INSTANCE_STARTUP(web1) (try 3) 0.4s after the stop;"
        " it runs still."
    )
    [moment] = jobstory.timeline([job])
    assert (moment.at, moment.source) == (_T + 0.4, "job 42")
    assert moment.what == (
        "INSTANCE_STARTUP(web1) submitted by the watcher, because of killed (try 3)"
    )


@pytest.mark.parametrize(
    ("attempt", "summary", "said"),
    [
        (0, "INSTANCE_SHUTDOWN(web1)", ""),
        (1, "TAGS_SET(instance, web1)", " (giving up after 1 try)"),
        (5, "TAGS_SET", " (giving up after 5 tries)"),
    ],
)
def test_a_job_of_the_watchers_that_starts_nothing_is_no_try(
    attempt: int, summary: str, said: str
) -> None:
    text = reasontrail.recovery_text(reasontrail.Recovery("killed", attempt, _STOP.key))
    trail = [(reasontrail.WATCHER, text, 1)]
    job = a_job(bearing=stopjobs.Bearing.RECOVERY, summary=[summary], reason=trail)
    assert told(job).startswith(f"The watcher submitted job 42, {summary}{said}; ")
    assert jobstory.timeline([job])[0].what == (
        f"{summary} submitted by the watcher, because of killed{said}"
    )


def test_what_came_later_is_told_with_how_much() -> None:
    job = a_job(bearing=stopjobs.Bearing.AFTER, received=_T + 60, status="canceled", ended=None)
    assert told(job).startswith(
        "Then came job 42, INSTANCE_SHUTDOWN(web1), submitted 1min after the stop by root"
    )
    assert told(job).endswith("it was cancelled.")


def test_many_jobs_are_not_all_told() -> None:
    said = jobstory.sentences(_STOP, [a_job(id=number) for number in range(20)])
    assert (len(said), said[-1]) == (9, "12 further jobs followed.")


def test_what_a_job_said_stands_in_the_timeline() -> None:
    job = a_job(log=[(_T, " a\n\tline\n")], error="broken", status="error")
    assert [(moment.at, moment.what) for moment in jobstory.timeline([job])][1:] == [
        (_T, "a line"),
        (_T + 0.5, "failed: broken"),
    ]


@given(
    st.builds(
        stopjobs.Job,
        id=st.integers(1, 99),
        bearing=st.sampled_from(stopjobs.Bearing),
        status=st.sampled_from(["success", "error", "queued", "?"]),
        summary=st.lists(st.text(), max_size=2),
        received=st.none() | st.floats(allow_nan=False),
        ended=st.none() | st.floats(allow_nan=False),
        started=st.none() | st.floats(allow_nan=False),
        reason=st.lists(
            st.tuples(st.sampled_from(["gnt:user", "gnt:peer", "x"]), st.text(), st.integers())
        ),
        error=st.none() | st.text(),
    )
)
def test_no_job_is_too_strange_to_tell_of_and_nothing_steers_a_terminal(job: stopjobs.Job) -> None:
    said = told(job)
    assert said.isprintable()
    assert jobstory.timeline([job])
