"""What a session says and reports."""

from collections.abc import Sequence

import msgspec
import pytest

from pyganeti.kvmd.watching import session
from pyganeti.model import evidence

GREETING = (
    b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""},'
    b' "capabilities": ["oob"]}}\r\n'
)
NOW = 1000.0


def _attached() -> session.Session:
    one = session.Session()
    one.feed(GREETING + b'{"return": {}, "id": "capabilities"}\r\n', NOW)
    assert one.is_attached
    one.feed(b'{"return": {"status": "running"}, "id": "status"}\r\n', NOW)
    one.feed(b'{"return": {}, "id": "migration-events"}\r\n', NOW)
    one.take_outgoing()
    return one


def _asked(one: session.Session) -> list[str]:
    return [msgspec.json.decode(line)["execute"] for line in one.take_outgoing().splitlines()]


def _noted(happenings: Sequence[session.Happening]) -> list[evidence.QmpEvent]:
    assert all(isinstance(happening, session.Noted) for happening in happenings)
    return [happening.event for happening in happenings if isinstance(happening, session.Noted)]


def test_it_negotiates_one_command_at_a_time() -> None:
    one = session.Session()
    assert _asked(one) == []
    assert (one.is_greeted, one.is_attached) == (False, False)
    assert one.feed(GREETING, NOW) == []
    assert (one.is_greeted, one.is_attached) == (True, False)
    assert _asked(one) == ["qmp_capabilities"]
    assert one.feed(b'{"return": {}, "id": "capabilities"}\r\n', NOW) == [
        session.Attached("7.2.22")
    ]
    assert _asked(one) == ["query-status"]
    assert one.feed(b'{"return": {"status": "running"}, "id": "status"}\r\n', NOW) == [
        session.Status("running")
    ]
    request = msgspec.json.decode(one.take_outgoing())
    assert request["execute"] == "migrate-set-capabilities"
    assert request["arguments"] == {"capabilities": [{"capability": "events", "state": True}]}
    assert one.feed(b'{"return": {}, "id": "migration-events"}\r\n', NOW) == []
    assert _asked(one) == []


def test_migration_events_refused_are_asked_for_again_with_the_next_status() -> None:
    one = session.Session()
    one.feed(GREETING + b'{"return": {}, "id": "capabilities"}\r\n', NOW)
    one.feed(b'{"return": {"status": "running"}, "id": "status"}\r\n', NOW)
    one.take_outgoing()
    one.feed(b'{"error": {"class": "GenericError"}, "id": "migration-events"}\r\n', NOW)
    assert _asked(one) == []
    one.query_status()
    one.feed(b'{"return": {"status": "running"}, "id": "status"}\r\n', NOW)
    assert _asked(one) == ["query-status", "migrate-set-capabilities"]


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (
            (
                b'{"timestamp": {"seconds": 5, "microseconds": 500000}, "event": "SHUTDOWN",'
                b' "data": {"guest": true, "reason": "guest-shutdown"}}'
            ),
            evidence.QmpEvent(5.5, "SHUTDOWN", "guest-shutdown", guest=True),
        ),
        (b'{"event": "SHUTDOWN"}', evidence.QmpEvent(NOW, "SHUTDOWN")),
        (
            b'{"event": "SHUTDOWN", "data": {"guest": false}}',
            evidence.QmpEvent(NOW, "SHUTDOWN", guest=False),
        ),
        (b'{"event": "\\u0053HUTDOWN"}', evidence.QmpEvent(NOW, "SHUTDOWN")),
        (
            b'{"event": "SHUTDOWN", "data": {"reason": 5, "guest": "yes"}}',
            evidence.QmpEvent(NOW, "SHUTDOWN"),
        ),
        (b'{"event": "SHUTDOWN", "data": [], "timestamp": 5}', evidence.QmpEvent(NOW, "SHUTDOWN")),
        (
            b'{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}',
            evidence.QmpEvent(NOW, "RESET", "guest-reset", guest=True),
        ),
        (
            b'{"event": "WATCHDOG", "data": {"action": "poweroff"}}',
            evidence.QmpEvent(NOW, "WATCHDOG", "poweroff"),
        ),
        (
            b'{"event": "GUEST_PANICKED", "data": {"action": "pause", "info": {"type": "x"}}}',
            evidence.QmpEvent(NOW, "GUEST_PANICKED", "pause"),
        ),
        (
            b'{"event": "GUEST_CRASHLOADED", "data": {"action": "run"}}',
            evidence.QmpEvent(NOW, "GUEST_CRASHLOADED", "run"),
        ),
        (
            b'{"event": "MIGRATION", "data": {"status": "completed"}}',
            evidence.QmpEvent(NOW, "MIGRATION", "completed"),
        ),
        (b'{"event": "POWERDOWN"}', evidence.QmpEvent(NOW, "POWERDOWN")),
        (b'{"event": "STOP"}', evidence.QmpEvent(NOW, "STOP")),
        (b'{"event": "RESUME"}', evidence.QmpEvent(NOW, "RESUME")),
        (b'{"event": "SUSPEND"}', evidence.QmpEvent(NOW, "SUSPEND")),
        (b'{"event": "SUSPEND_DISK"}', evidence.QmpEvent(NOW, "SUSPEND_DISK")),
        (b'{"event": "WAKEUP"}', evidence.QmpEvent(NOW, "WAKEUP")),
    ],
)
def test_events_that_bear_on_a_stop_are_noted(line: bytes, event: evidence.QmpEvent) -> None:
    assert _noted(_attached().feed(line + b"\r\n", NOW)) == [event]


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "RTC_CHANGE", "data": {"offset": 1}}',
        b'{"event": "DEVICE_DELETED", "data": {"device": "SHUTDOWN", "path": "SHUTDOWN"}}',
        b'{"event": "shutdown"}',
        b'{"data": {"event": "SHUTDOWN"}}',
        b'{"return": {"event": "SHUTDOWN"}}',
        b'{"return": {"status": "shutdown"}, "id": 5}',
        b'{"return": {"status": "shutdown"}, "id": "status"}',
        b'{"id": "capabilities", "return": {}}',
        GREETING.strip(),
        b"{}",
    ],
)
def test_all_else_is_counted_only(line: bytes) -> None:
    one = _attached()
    assert one.feed(line + b"\r\n", NOW) == []
    assert (one.ignored, one.garbage) == (1, 0)
    assert one.take_outgoing() == b""


def test_what_is_kept_of_an_event_is_bounded() -> None:
    line = b'{"event": "SHUTDOWN", "data": {"reason": "' + b"x" * 100_000 + b'"}}\n'
    (event,) = _noted(_attached().feed(line, NOW))
    assert len(event.detail) <= 128


def test_of_garbage_only_the_first_line_is_told() -> None:
    one = _attached()
    happenings = [*one.feed(b"\x00\n" * 1000, NOW), *one.feed(b"{\n" * 1000, NOW)]
    assert [type(happening) for happening in happenings] == [session.Garbage]
    assert one.garbage == 2000
    assert _noted(one.feed(b'{"event": "STOP"}\n', NOW)) == [evidence.QmpEvent(NOW, "STOP")]


@pytest.mark.parametrize(
    "start",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b'{"event": "SHUTDOWN"}\r\n',
        b"{}\r\n",
        b'{"return": {}}\r\n',
        b"x" * 2**21,
    ],
)
def test_whoever_does_not_greet_as_qemu_is_not_listened_to(start: bytes) -> None:
    one = session.Session()
    happenings = one.feed(start, NOW)
    assert [type(happening) for happening in happenings] == [session.WrongGreeting]
    assert one.feed(GREETING + b'{"event": "SHUTDOWN"}\r\n', NOW) == ()
    assert one.end(NOW) == ()
    assert one.take_outgoing() == b""


@pytest.mark.parametrize(
    "reply", [b'{"error": {"desc": "no"}, "id": "capabilities"}\n', b'{"id": "capabilities"}\n']
)
def test_a_refused_negotiation_ends_the_session(reply: bytes) -> None:
    one = session.Session()
    one.feed(GREETING, NOW)
    happenings = one.feed(reply + b'{"event": "SHUTDOWN"}\n', NOW)
    assert [type(happening) for happening in happenings] == [session.NotNegotiated]
    assert not one.is_attached


def test_an_event_between_greeting_and_negotiation_is_not_lost() -> None:
    one = session.Session()
    assert _noted(one.feed(GREETING + b'{"event": "STOP"}\r\n', NOW)) == [
        evidence.QmpEvent(NOW, "STOP")
    ]


def test_a_question_is_not_repeated_while_unanswered() -> None:
    one = _attached()
    for _ in range(1000):
        one.query_status()
    assert _asked(one) == ["query-status"]
    one.query_status()
    assert _asked(one) == []
    one.feed(b'{"return": {"status": 5}, "id": "status"}\n', NOW)
    one.query_status()
    assert _asked(one) == ["query-status"]


def test_quit_is_said_once_and_only_when_attached() -> None:
    assert not session.Session().quit()
    one = _attached()
    assert one.quit()
    assert one.quit()
    assert _asked(one) == ["quit"]


def test_the_end_of_the_stream_ends_the_last_line() -> None:
    one = _attached()
    one.feed(b'{"event": "SHUTDOWN"}', NOW)
    assert _noted(one.end(NOW)) == [evidence.QmpEvent(NOW, "SHUTDOWN")]
