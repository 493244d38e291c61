"""Any bytes, cut anywhere: the stream and the session see what whole lines would show."""

import itertools

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from pyganeti.kvmd.watching import session
from pyganeti.qmp import messages, stream

_GREETING = b'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}}}'

_lines = st.one_of(
    st.sampled_from(
        [
            _GREETING,
            b'{"return": {}, "id": "capabilities"}',
            b'{"return": {"status": "running"}, "id": "status"}',
            b'{"error": {"desc": "no"}, "id": "migration-events"}',
            b'{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}',
            b'{"event": "\\u0053HUTDOWN"}',
            b'{"event": "RTC_CHANGE", "data": {"offset": 1}}',
            b'{"event": "DEVICE_DELETED", "data": {"device": "SHUTDOWN"}}',
            b'{"event": "STOP"} {"event": "RESUME"}',
            b'{"event": ',
            b'"STOP"}',
            b"{}",
            b"{",
            b"}",
            b"",
            b" \t",
            b"\x00",
            b'{"event": "\xff"}',
            b'{"event": "\\ud800"}',
            b"[" * 50,
        ]
    ),
    st.binary(max_size=40),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["event", "data", "timestamp", "id", "return", "QMP", "error", "x"]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    ).map(msgspec.json.encode),
)
_bytes = st.lists(st.tuples(_lines, st.sampled_from([b"\n", b"\r\n", b""]))).map(
    lambda parts: b"".join(line + ending for line, ending in parts)
)


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def _line(line: bytes) -> stream.Item | None:
    """Say by the decoder alone what one line is."""
    stripped = line.strip(b" \t\r")
    if not stripped:
        return None
    try:
        return msgspec.json.decode(stripped, type=messages.Message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return stream.NOT_JSON


def _comparable(item: stream.Item) -> object:
    return "garbage" if isinstance(item, stream.Garbage) else item


@given(_bytes, st.lists(st.integers(0, 5000)))
@example(b'{"event":"A"} {"event":\n"B"}\n', [])
@example(b'{"event":"A"}{"data":{}\n{"b":1}}\n', [])
@example(b'{"a":"}\n{"}{"b":1}\n', [])
def test_however_cut_the_bytes_give_what_whole_lines_give(data: bytes, cuts: list[int]) -> None:
    expected = [
        _comparable(item) for line in data.split(b"\n") if (item := _line(line)) is not None
    ]
    one = stream.Stream()
    found: list[object] = []
    for piece in _cut(data, cuts):
        found += map(_comparable, one.feed(piece))
        assert one.held <= len(data)
    found += map(_comparable, one.end())
    assert found == expected
    assert one.held == 0


@given(data=_bytes, cuts=st.lists(st.integers(0, 5000)), greeted=st.booleans())
def test_however_cut_a_session_goes_the_same_way(
    data: bytes, cuts: list[int], *, greeted: bool
) -> None:
    if greeted:
        data = _GREETING + b'\r\n{"return": {}, "id": "capabilities"}\r\n' + data
    whole, pieces = session.Session(), session.Session()
    expected = [*whole.feed(data, 1.0), *whole.end(1.0)]
    found: list[session.Happening] = []
    for piece in _cut(data, cuts):
        found += pieces.feed(piece, 1.0)
    found += pieces.end(1.0)
    assert found == expected
    assert (pieces.ignored, pieces.garbage) == (whole.ignored, whole.garbage)
    assert pieces.take_outgoing() == whole.take_outgoing()
    assert sum(isinstance(happening, session.Garbage) for happening in found) <= 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"x", b" ", b'{"event":"STOP"}\n', b"{", b"\n"]),
            st.integers(1, 300_000),
        ),
        max_size=12,
    )
)
def test_never_more_than_the_longest_line_is_held(parts: list[tuple[bytes, int]]) -> None:
    one = stream.Stream()
    for part, times in parts:
        one.feed(part * min(times, 300_000 // len(part)))
        assert one.held <= stream.LONGEST_LINE
