"""Days of a job queue that end with a kill -9 somewhere, and what the next one finds.

Hypothesis makes up the day and the instant; `lab.dyingqueue` lives it in a real process, dies, and
compares what is found with everything that was done and told: nothing accepted is lost, nothing is
done twice, nothing told is taken back, no number is given out twice, what was removed by hand stays
away. A queue in etcd is killed as well.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.etcd import etcds

JOB = st.integers(0, 6)
ACTS = st.one_of(
    st.tuples(st.just("submit"), st.integers(1, 3)),
    st.tuples(
        st.just("many"),
        st.lists(
            st.tuples(st.lists(st.integers(-3, -1), max_size=2), st.sampled_from([-10, 0, 10])),
            min_size=1,
            max_size=4,
        ),
    ),
    st.tuples(st.sampled_from(["cancel", "archive", "wait", "remove"]), JOB),
    st.tuples(st.just("priority"), JOB, st.integers(-20, 19)),
)


@pytest.fixture(scope="module")
def dying() -> Iterator["subprocess.Popen[str]"]:
    """Have a process that lives days and dies on request."""
    with _dying() as process:
        yield process


@pytest.fixture(scope="module")
def dying_in_etcd() -> Iterator["subprocess.Popen[str]"]:
    """Have one whose queue is in etcd."""
    if why_not := etcds.why_not():
        pytest.skip(why_not)
    with etcds.here() as etcd, _dying(*etcd.endpoints) as process:
        yield process


@contextlib.contextmanager
def _dying(*words: str) -> Iterator["subprocess.Popen[str]"]:
    with (
        tempfile.TemporaryDirectory(prefix="pg-", dir="/dev/shm") as place,
        subprocess.Popen(
            [sys.executable, "-m", "lab.dyingqueue", str(Path(place) / "q"), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=20)


def _live(process: "subprocess.Popen[str]", day: list[Any], step: int) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([step, [["submit", 1], *day]]) + "\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() in {"ok", "lived"}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(day=st.lists(ACTS, min_size=1, max_size=10), step=st.integers(1, 250))
def test_whatever_the_day_a_kill_breaks_no_promise(
    dying: "subprocess.Popen[str]", day: list[Any], step: int
) -> None:
    _live(dying, day, step)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(day=st.lists(ACTS, min_size=1, max_size=10), step=st.integers(1, 90))
def test_whatever_the_day_a_kill_breaks_no_promise_of_a_queue_in_etcd(
    dying_in_etcd: "subprocess.Popen[str]", day: list[Any], step: int
) -> None:
    _live(dying_in_etcd, day, step)
