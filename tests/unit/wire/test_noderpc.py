import base64
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.wire import noderpc


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"{}",
        b"null",
        b'"text"',
        b"[1",
        b"\xff\xfe",
        b'["\xff"]',
        b"[" * 100_000,
        b"[]" * 2,
        b"[NaN]",
    ],
)
def test_a_body_that_is_no_list_of_arguments_is_refused(body: bytes) -> None:
    with pytest.raises(errors.BadInput, match="body"):
        noderpc.decode_arguments(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_arguments_or_refused(body: bytes) -> None:
    try:
        found = noderpc.decode_arguments(body)
    except errors.BadInput:
        return
    assert isinstance(found, list)


def test_answers_look_as_ganeti_writes_them() -> None:
    assert json.loads(noderpc.success({"a": [1, None]})) == [True, {"a": [1, None]}]
    assert json.loads(noderpc.failure("no")) == [False, "no"]


def test_a_name_that_is_not_unicode_does_not_spoil_an_answer() -> None:
    assert json.loads(noderpc.success(["f\udcff"])) == [True, ["f\\xff"]]
    assert json.loads(noderpc.failure("f\udcff")) == [False, "f\\xff"]


def test_an_answer_is_read_as_it_was_written() -> None:
    assert noderpc.decode_answer(noderpc.success([1])) == [1]
    with pytest.raises(errors.Failure, match=r"^why not$"):
        noderpc.decode_answer(noderpc.failure("why not"))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"[1, 2]", b"[true]", b"[true, 1, 2]"])
def test_what_is_no_answer_is_damaged(body: bytes) -> None:
    with pytest.raises(errors.Damaged):
        noderpc.decode_answer(body)


@given(st.binary(max_size=3000))
def test_a_blob_carries_any_bytes(data: bytes) -> None:
    assert noderpc.decode_blob(json.loads(json.dumps(noderpc.encode_blob(data)))) == data


def test_small_texts_travel_as_they_are_and_large_ones_packed() -> None:
    assert noderpc.encode_blob(b"x" * 511) == [0, "x" * 511]
    form, text = noderpc.encode_blob(b"x" * 512)
    assert form == 1
    assert zlib.decompress(base64.b64decode(text)) == b"x" * 512


@pytest.mark.parametrize(
    "blob",
    [
        None,
        "text",
        [],
        [0],
        [0, 1],
        [True, "x"],
        [2, "x"],
        [-1, "x"],
        [0, "x", "y"],
        [1, "not base64"],
        [1, base64.b64encode(b"not zlib").decode()],
        [1, base64.b64encode(zlib.compress(b"cut off" * 99)[:-5]).decode()],
        [1, "\u20ac"],
        [0, "\ud800"],
    ],
)
def test_what_is_no_blob_is_refused(blob: object) -> None:
    with pytest.raises(errors.BadInput, match="blob"):
        noderpc.decode_blob(blob)


def test_a_blob_does_not_expand_beyond_its_limit() -> None:
    bomb = noderpc.encode_blob(bytes(1_000_001))
    with pytest.raises(errors.BadInput, match="more than 1000000"):
        noderpc.decode_blob(bomb, limit=1_000_000)
    with pytest.raises(errors.BadInput, match="more than 3"):
        noderpc.decode_blob([0, "four"], limit=3)
