import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.wire import luxi, luxierrors

GOLDEN = Path(__file__).parents[2] / "golden/luxi"


def split(*data: bytes, limit: int = 100) -> list[bytes | None]:
    splitter = luxi.Splitter(limit)
    return [
        None if found is None else bytes(found) for piece in data for found in splitter.feed(piece)
    ]


@given(st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\3", b""))), st.data())
def test_messages_come_out_as_they_went_in_however_they_are_cut(
    messages: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(message + luxi.END for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert split(*pieces) == messages


def test_half_a_message_is_none_yet() -> None:
    splitter = luxi.Splitter()
    assert not list(splitter.feed(b'{"meth'))
    assert not splitter.is_between
    assert list(splitter.feed(b"od\3")) == [b'{"method']
    assert splitter.is_between


@pytest.mark.parametrize("data", [(b"x" * 101 + b"\3y\3",), (b"x" * 60, b"x" * 60, b"x\3y\3")])
def test_a_message_too_long_is_dropped_and_the_next_one_is_whole(data: tuple[bytes, ...]) -> None:
    assert split(*data) == [None, b"y"]


def test_a_message_too_long_is_not_held_while_it_comes() -> None:
    held = 0

    def may_hold(length: int) -> bool:
        nonlocal held
        held += length
        return True

    def let_go(length: int) -> None:
        nonlocal held
        held -= length

    splitter = luxi.Splitter(100, may_hold=may_hold, let_go=let_go)
    peak = 0
    for _ in range(1000):
        assert not list(splitter.feed(b"x" * 7))
        peak = max(peak, held)
    assert list(splitter.feed(b"\3")) == [None]
    assert peak <= 100
    assert held == 0


def test_what_nobody_has_room_for_is_dropped() -> None:
    splitter = luxi.Splitter(may_hold=lambda _: False)
    assert list(splitter.feed(b"abc")) == []
    assert list(splitter.feed(b"def\3")) == [None]


def test_a_request_is_read_back() -> None:
    message = luxi.encode_request("CancelJob", [3, False])
    assert message.endswith(luxi.END)
    assert json.loads(message[:-1])["version"] == 3000000
    assert luxi.decode_request(message[:-1]) == luxi.Request("CancelJob", [3, False])


@pytest.mark.parametrize("version", ["", ', "version": null', ', "version": 3010000'])
def test_versions_that_are_ours_or_none_are_taken(version: str) -> None:
    request = luxi.decode_request(b'{"method": "Query", "args": []' + version.encode() + b"}")
    assert request.method == "Query"


@pytest.mark.parametrize("version", [2090000, "3000000", True, 3000000.0, []])
def test_other_versions_are_refused(version: Any) -> None:
    message = json.dumps({"method": "Query", "args": [], "version": version}).encode()
    with pytest.raises(luxierrors.Protocol, match="server 3000000, request"):
        luxi.decode_request(message)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"", "top-level JSON message"),
        (b"nonsense", "top-level JSON message"),
        (b"[]", "not an object"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b'{"method":' * 200_000, "nested too deeply"),
        (b'{"method": "\xff"}', "top-level JSON message"),
        (b"{}", r"key 'method' not found, object contains only \[\]"),
        (b'{"method": "Query"}', r"key 'args' not found, object contains only \[\"method\"\]"),
        (b'{"method": "query", "args": []}', 'Invalid string value for type LuxiReq: "query"'),
        (b'{"method": 7, "args": []}', "Invalid value for type LuxiReq: 7"),
    ],
)
def test_what_is_no_request_is_told_why(message: bytes, why: str) -> None:
    with pytest.raises(luxi.Unreadable, match=f"^Failed to parse request: .*{why}"):
        luxi.decode_request(message)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_refused(message: bytes) -> None:
    with contextlib.suppress(luxi.Unreadable, luxierrors.Protocol):
        luxi.decode_request(message)


def test_an_unknown_method_is_refused_in_ganetis_words() -> None:
    golden = json.loads((GOLDEN / "badmethod.json").read_text())
    with pytest.raises(luxi.Unreadable) as refused:
        luxi.decode_request(json.dumps({"method": golden["m"], "args": golden["a"]}).encode())
    answer = json.loads(luxi.encode_failure(refused.value)[:-1])
    assert answer == golden["r"]


def test_an_answer_names_no_version() -> None:
    assert json.loads(luxi.encode_success([1])[:-1]) == {"success": True, "result": [1]}


def test_a_name_that_is_not_unicode_can_be_answered() -> None:
    assert b"\\\\xff" in luxi.encode_success({"name": "a\udcff"})


def test_answers_are_read_back() -> None:
    assert luxi.decode_answer(luxi.encode_success({"a": None})[:-1]) == {"a": None}


@pytest.mark.parametrize(
    "message", [b"", b"[]", b"{}", b'{"success": true}', b"[" * 100_000, b"\xff"]
)
def test_what_is_no_answer_is_refused(message: bytes) -> None:
    with pytest.raises(luxierrors.Protocol):
        luxi.decode_answer(message)


def test_an_answer_of_another_version_is_refused() -> None:
    with pytest.raises(luxierrors.Protocol, match="another protocol"):
        luxi.decode_answer(b'{"success": true, "result": 1, "version": 2090000}')


@pytest.mark.parametrize(
    "failure",
    [
        errors.BadInput("no such node", "unknown_entity"),
        errors.Failure("it broke"),
        luxierrors.JobLost("gone"),
        luxierrors.JobCanceled("cancelled"),
        luxierrors.QueueDrained("drained"),
        luxierrors.QueueFull("full"),
        luxierrors.OperationFailed("it broke"),
        luxierrors.WrongParameter("no such field"),
        luxierrors.Protocol("what?"),
        luxierrors.Answered("HooksAbort", [[["node1", "check", "no"]]]),
        luxierrors.Answered("TagError", ["bad tag"]),
    ],
)
def test_a_failure_comes_back_as_what_it_was(failure: errors.Failure) -> None:
    with pytest.raises(errors.Failure) as raised:
        luxi.decode_answer(luxi.encode_failure(failure)[:-1])
    assert type(raised.value) is type(failure)
    assert str(raised.value) == str(failure)
    assert luxierrors.encode(raised.value) == luxierrors.encode(failure)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        ("a bare text", "a bare text"),
        (None, "None"),
        (["JobQueueFull", []], "the job queue is full"),
        (["ResolverError", ["web1", 2, "no"]], "the name web1 cannot be resolved"),
        (["ConfigVerifyError", ["broken", ["a", "b"]]], "broken; a; b"),
        (["HooksAbort", [[["node1", "check", "no"], "odd"]]], "check on node1 says: no; odd"),
        (["Strange", []], "failed with Strange"),
        (["Strange", [1, ["x"]]], "1, "),
        (["OpPrereqError", ["old style"]], "old style"),
        ([1, 2], "1, 2"),
    ],
)
def test_whatever_a_failure_is_there_is_a_sentence_for_it(result: object, sentence: str) -> None:
    message = json.dumps({"success": False, "result": result}).encode()
    with pytest.raises(errors.Failure) as raised:
        luxi.decode_answer(message)
    assert sentence in str(raised.value)


def test_exit_codes_are_those_that_scripts_know() -> None:
    assert luxierrors.exit_code(errors.BadInput("no")) == 1
    assert luxierrors.exit_code(luxierrors.Answered("ConfigurationError", ["no"])) == 2


@pytest.mark.parametrize(
    ("result", "is_failure"),
    [
        (["OpPrereqError", ["a", "b"]], True),
        (["HooksAbort", [[]]], True),
        (["web1", ["a"]], False),
        ("OpExecError", False),
        ([], False),
    ],
)
def test_an_opcodes_own_list_is_not_taken_for_a_failure(
    result: object,
    is_failure: bool,  # noqa: FBT001
) -> None:
    assert luxierrors.looks_encoded(result) is is_failure


def test_what_an_error_repeats_is_short() -> None:
    long = [{"a" * 10_000: "b" * 10_000}] * 100_000
    assert len(luxi.shown(long)) < 1000
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "…" in luxi.shown(deep)
    del deep[:]
