"""How bytes become messages."""

import pytest

from pyganeti.qmp import stream


def _events(items: object) -> list[str]:
    assert isinstance(items, list | tuple)
    return [item.reason if isinstance(item, stream.Garbage) else item.event for item in items]


def test_a_line_is_a_message_once_its_newline_is_there() -> None:
    one = stream.Stream()
    assert _events(one.feed(b'{"event": "STOP"}')) == []
    assert _events(one.feed(b'\r\n{"event": "RES')) == ["STOP"]
    assert _events(one.feed(b'ET"}\r\n')) == ["RESET"]


def test_nothing_is_held_between_lines() -> None:
    one = stream.Stream()
    one.feed(b'{"event": "STOP"}\r\n')
    assert one.held == 0
    one.feed(b'{"ev')
    assert one.held == 4
    one.feed(b'ent": "STOP"}\n')
    assert one.held == 0


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(
            b'{"event":"A"} {"event":"B"}\n', [stream.NOT_JSON.reason], id="two on one line"
        ),
        pytest.param(b'{"event":\n"A"}\n', [stream.NOT_JSON.reason] * 2, id="one on two lines"),
        pytest.param(
            b'{"event":"A"} {"event":\n"B"}\n',
            [stream.NOT_JSON.reason] * 2,
            id="as many values as lines, but not one each",
        ),
        pytest.param(
            b'{"event":"A"}{"data":{}\n{"b":1}}\n',
            [stream.NOT_JSON.reason] * 2,
            id="a newline between braces inside a value",
        ),
        pytest.param(
            b'{"a":"}\n{"}{"b":1}\n', [stream.NOT_JSON.reason] * 2, id="a newline in a string"
        ),
        pytest.param(b"\n\r\n \t\n", [], id="blank lines"),
        pytest.param(b'\x00\n{"event":"A"}\n', [stream.NOT_JSON.reason, "A"], id="a NUL"),
        pytest.param(b'{"event":"A\x00"}\n', [stream.NOT_JSON.reason], id="a NUL in a string"),
        pytest.param(b'{"event":"\xff"}\n', [stream.NOT_UTF8.reason], id="not UTF-8"),
        pytest.param(b'{"event":5}\n', [stream.NOT_A_MESSAGE.reason], id="a name of another type"),
        pytest.param(b"5\nnull\n[]\n", [stream.NOT_JSON.reason] * 3, id="JSON but no objects"),
        pytest.param(b'{"event":"\\u0053TOP"}\n', ["STOP"], id="an escaped name"),
        pytest.param(b'{"data":{"event":"STOP"}}\n', [""], id="a name in the data"),
        pytest.param(b'{"event":"A","event":"B"}\n', ["B"], id="a name given twice"),
        pytest.param(
            b'{"event":"A"}\n{\n{"event":"B"}\n', ["A", stream.NOT_JSON.reason, "B"], id="order"
        ),
        pytest.param(
            b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
            [stream.TOO_DEEP.reason],
            id="nested deeply",
        ),
    ],
)
def test_each_line_is_one_message_or_garbage(lines: bytes, expected: list[str]) -> None:
    assert _events(stream.Stream().feed(lines)) == expected


def test_the_end_of_the_stream_ends_the_last_line() -> None:
    whole = stream.Stream()
    whole.feed(b'{"event": "SHUTDOWN"}')
    assert _events(whole.end()) == ["SHUTDOWN"]
    cut = stream.Stream()
    cut.feed(b'{"event": "SHUTDO')
    assert _events(cut.end()) == [stream.NOT_JSON.reason]
    assert _events(cut.end()) == []


def test_the_longest_line_is_taken_and_a_longer_one_dropped_up_to_its_newline() -> None:
    padding = b" " * (stream.LONGEST_LINE - len(b'{"event":"A"}'))
    for tail, expected in ((b"", "A"), (b" ", stream.TOO_LONG.reason)):
        line = b'{"event":"A"' + padding + b"}" + tail
        in_one = stream.Stream()
        assert _events(in_one.feed(line + b'\n{"event":"B"}\n')) == [expected, "B"]
        in_pieces = stream.Stream()
        found: list[str] = []
        for start in range(0, len(line), 4096):
            found += _events(in_pieces.feed(line[start : start + 4096]))
            assert in_pieces.held <= stream.LONGEST_LINE
        found += _events(in_pieces.feed(b'\n{"event":"B"}\n'))
        assert found == [expected, "B"]


def test_a_line_without_end_is_one_garbage_and_holds_nothing() -> None:
    one = stream.Stream()
    found: list[str] = []
    for _ in range(100):
        found += _events(one.feed(b"x" * 65536))
    found += _events(one.end())
    assert found == [stream.TOO_LONG.reason]
    assert one.held == 0
