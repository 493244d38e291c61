"""What is taken out of QMP messages, whatever they hold."""

import msgspec
import pytest

from pyganeti.qmp import messages


def _message(line: bytes) -> messages.Message:
    return msgspec.json.decode(line, type=messages.Message)


def test_version_is_the_greetings_three_numbers() -> None:
    greeting = _message(
        b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7},'
        b' "package": "Debian"}, "capabilities": ["oob"]}}'
    )
    assert messages.version(greeting) == "7.2.22"


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"QMP": 5}',
        b'{"QMP": {}}',
        b'{"QMP": {"version": []}}',
        b'{"QMP": {"version": {"qemu": "7.2"}}}',
        b'{"QMP": {"version": {"qemu": {"major": "7", "minor": 2, "micro": 1}}}}',
        b'{"QMP": {"version": {"qemu": {"major": -7, "minor": 2, "micro": 1}}}}',
        b'{"QMP": {"version": {"qemu": {"major": 1e400, "minor": 2, "micro": 1}}}}',
    ],
)
def test_version_of_a_strange_greeting_is_empty(line: bytes) -> None:
    assert messages.version(_message(line)) == ""


def test_time_is_qemus_own() -> None:
    message = _message(b'{"event": "STOP", "timestamp": {"seconds": 17, "microseconds": 250000}}')
    assert messages.happened(message, 99.0) == 17.25


@pytest.mark.parametrize(
    "timestamp",
    [
        b"null",
        b"5",
        b"{}",
        b'{"seconds": -1, "microseconds": -1}',
        b'{"seconds": "5"}',
        b'{"seconds": 1e999}',
        b'{"seconds": 99999999999999999999999999}',
        b'{"seconds": 9999999999999}',
        b'{"seconds": 1, "microseconds": 1000000}',
    ],
)
def test_time_that_makes_no_sense_counts_as_not_told(timestamp: bytes) -> None:
    message = _message(b'{"event": "STOP", "timestamp": ' + timestamp + b"}")
    assert messages.happened(message, 99.0) == 99.0


def test_members_of_anything_but_an_object_are_none() -> None:
    for value in (b"5", b"[]", b"null", b'"x"', b'{"a": "\xff"}', b""):
        assert messages.members(msgspec.Raw(value)) == {}


def test_text_is_cut_and_nothing_but_text() -> None:
    assert messages.text("x" * 1000) == "x" * messages.LONGEST_TEXT
    assert messages.text(5) == ""
    assert messages.text(None) == ""


def test_a_complaint_is_the_errors_description() -> None:
    line = b'{"error": {"class": "CommandNotFound", "desc": "No such command"}}'
    assert messages.complaint(_message(line)) == "No such command"
    assert messages.complaint(_message(b'{"error": {"class": "GenericError"}}')) == "GenericError"
    assert messages.complaint(_message(b'{"error": 5}')) != ""
    assert messages.complaint(_message(b'{"return": {}}')) == ""


def test_a_command_is_one_line() -> None:
    line = messages.command("query-status", "a\nb")
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert msgspec.json.decode(line) == {"execute": "query-status", "id": "a\nb"}


def test_identity_of_a_reply_is_found_however_it_is_written() -> None:
    assert messages.identity(_message(b'{"return": {}, "id": "\\u0071uit"}')) == "quit"
    assert messages.identity(_message(b'{"return": {}, "id": 5}')) == ""
    assert messages.identity(_message(b'{"return": {}}')) == ""
