"""A job as its file holds it, in the form that Ganeti reads and writes."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.wire import jobfile

GOLDEN = Path(__file__).parents[2] / "golden/queue/job-1"
"""What Ganeti 3.0.2's job class makes of a job of ours: it read it, and wrote it anew."""


def test_ganetis_own_form_is_read_and_means_the_same_when_written_again() -> None:
    data = GOLDEN.read_bytes()
    job = jobfile.decode(data, 1)
    assert [op.status.value for op in job.ops] == ["success", "error", "error"]
    assert job.ops[0].log == ((1, (1795620083, 354913), "message", "hi"),)
    assert json.loads(jobfile.encode(job)) == json.loads(data)
    assert b"\n" not in jobfile.encode(job)


def test_what_ganetis_haskell_leaves_out_is_not_missed() -> None:
    """It writes no livelock and no process before there are any, and ids were strings once."""
    op = {"input": {"OP_ID": "OP_TEST_DELAY"}, "status": "queued", "result": None, "priority": 0}
    job = jobfile.decode(json.dumps({"id": "12", "ops": [op]}).encode(), 12)
    assert job.livelock is None
    assert job.process_id is None
    assert job.ops[0].log == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"id": 1, "ops": []}',
        b'{"id": 2, "ops": [{"input": {}, "status": "queued"}]}',
        b'{"id": 1, "ops": [{"input": {}, "status": "dreaming"}]}',
        b'{"id": 1, "ops": [{"input": "x", "status": "queued"}]}',
        b'{"id": 1, "ops": [{"input": {}, "status": "queued", "log": [[1, 2]]}]}',
        b'{"id": 1, "ops": [{"input": {}, "status": "queued"}], "end_timestamp": [1]}',
        b'{"id": 1, "ops": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_job_is_damaged(data: bytes) -> None:
    with pytest.raises(errors.Damaged):
        jobfile.decode(data, 1)


class Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({1}, [1]),
        ((1, (2,)), [1, [2]]),
        (Point(3), {"x": 3}),
        ({1: "a"}, {"1": "a"}),
        ("\udcff", "\\xff"),
        ({"\udcff": ["\ud800"]}, {"\\xff": ["\\ud800"]}),
    ],
)
def test_plain_is_what_comes_back_from_the_file(value: Any, read: Any) -> None:
    plain = jobfile.plain(value)
    assert plain == read
    assert json.loads(msgspec.json.encode(plain)) == read


@pytest.mark.parametrize("value", [object(), {"a": object()}, {(1, 2): 3}])
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(errors.BadInput):
        jobfile.plain(value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
_TIME = st.tuples(st.integers(0, 2**32), st.integers(0, 999_999))


@given(
    result=_JSON,
    text=_JSON,
    status=st.sampled_from(jobfile.Status),
    start=st.none() | _TIME,
    livelock=st.none() | st.just("/run/x"),
)
def test_what_is_written_is_read(
    result: Any, text: Any, status: jobfile.Status, start: Any, livelock: Any
) -> None:
    result, text = jobfile.plain(result), jobfile.plain(text)
    op = jobfile.Opcode(
        {"OP_ID": "OP_X"}, status, result, ((1, (2, 3), "message", text),), start_timestamp=start
    )
    job = jobfile.Job(5, (op, op), start_timestamp=start, livelock=livelock)
    assert jobfile.decode(jobfile.encode(job), 5) == job
