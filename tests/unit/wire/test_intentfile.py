import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.model import intent
from pyganeti.wire import intentfile

_GOOD: dict[str, Any] = {"version": 1, "kind": "powerdown", "pid": 4711, "deadline": 1700000000.5}


def _written(**changes: object) -> bytes:
    return json.dumps(_GOOD | changes).encode()


def test_the_format_is_this() -> None:
    one = intent.Intent(
        kind=intent.IntentKind.QUIT, pid=7, deadline=20.5, written=10.0, job=3, reason="because"
    )
    assert json.loads(intentfile.encode(one)) == {
        "version": 1,
        "kind": "quit",
        "pid": 7,
        "deadline": 20.5,
        "written": 10.0,
        "job": 3,
        "reason": "because",
    }


@given(
    kind=st.sampled_from(intent.IntentKind),
    pid=st.integers(1, 2**22),
    deadline=st.floats(1, 1e12),
    written=st.floats(0, 1e12),
    job=st.none() | st.integers(0, 2**40),
    reason=st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)
def test_an_intent_comes_back(**fields: Any) -> None:
    one = intent.Intent(**fields)
    assert intentfile.decode(intentfile.encode(one)) == one


def test_a_minimal_intent_is_one() -> None:
    one = intentfile.decode(_written())
    assert (one.kind, one.pid, one.job, one.reason) == ("powerdown", 4711, None, "")


def test_a_key_that_is_not_known_does_no_harm() -> None:
    intentfile.decode(_written(colour="blue"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 100,
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        _written() + b"x",
        _written(version=2),
        _written(version="1"),
        _written(kind="reboot"),
        _written(pid="4711"),
        _written(pid=0),
        _written(pid=-1),
        _written(pid=2**40),
        _written(pid=True),
        _written(deadline=0),
        _written(deadline=-5),
        _written(deadline=None),
        _written(written=-1),
        _written(reason="x" * 2000),
        b'{"version":1,"kind":"kill","pid":1,"deadline":1e999}',
        b'{"version":1,"kind":"kill","pid":1,"deadline":NaN}',
        b'{"kind":"kill","pid":1,"deadline":5}',
        b"[" * 10_000,
        b" " * 20_000 + _written(),
    ],
)
def test_what_is_not_exactly_an_intent_is_none(content: bytes) -> None:
    with pytest.raises(errors.BadInput):
        intentfile.decode(content)


@given(st.binary(max_size=200))
def test_nothing_but_bad_input_comes_of_garbage(content: bytes) -> None:
    with pytest.raises(errors.BadInput):
        intentfile.decode(content)


def test_a_long_reason_is_cut_so_that_it_can_be_read() -> None:
    one = intent.Intent(kind=intent.IntentKind.KILL, pid=7, deadline=2.0, reason="x" * 9000)
    assert len(intentfile.decode(intentfile.encode(one)).reason) == 1024
