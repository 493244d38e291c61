import msgspec
import pytest

from lab import examples
from pyganeti.base import errors
from pyganeti.model import evidence, intent, stop
from pyganeti.wire import stopjournal

_FULL = evidence.Evidence(
    pid=12,
    attachment=evidence.Attachment.PART,
    attached_at_end=True,
    events=(evidence.QmpEvent(1.5, "SHUTDOWN", "guest-shutdown", guest=True),),
    status="shutdown",
    ended=False,
    exit=evidence.ExitStatus(139, "pidfd"),
    oom_kills=2,
    oom_source="host",
    host_rebooted=True,
    intent=intent.Intent(kind=intent.IntentKind.KILL, pid=12, deadline=9.0, reason="ünïcode"),
    intent_note="note",
    reset_ends_qemu=True,
    socket_left=True,
    pid_file_left=False,
    ended_at=3.25,
    missing=("one", "two"),
)


@pytest.mark.parametrize(
    "one",
    [
        examples.a_stop(),
        examples.a_stop(evidence=_FULL),
        examples.a_stop(pid=None, started=None, qemu="", evidence=evidence.Evidence()),
        examples.a_stop(name="\udcff", socket="\udcff.kvmd"),
    ],
)
def test_a_stop_comes_back_from_its_columns(one: stop.Stop) -> None:
    back = stopjournal.stop_from((7, *stopjournal.stop_columns(one)))
    assert back == msgspec.structs.replace(one, number=7)


def test_what_is_not_unicode_in_evidence_is_written_out() -> None:
    odd = evidence.Evidence(intent_note="file \udcfe", missing=("x\ud800",))
    back = stopjournal.stop_from((1, *stopjournal.stop_columns(examples.a_stop(evidence=odd))))
    assert back.evidence.intent_note == "file \\xfe"
    assert back.evidence.missing == ("x\\ud800",)


@pytest.mark.parametrize("reset_ends_qemu", [None, True, False])
def test_a_watched_qemu_comes_back_from_its_columns(reset_ends_qemu: bool | None) -> None:  # noqa: FBT001
    one = examples.watched(
        examples.a_stop(),
        reset_ends_qemu=reset_ends_qemu,
        events=_FULL.events,
        incoming=True,
        attached=False,
    )
    assert stopjournal.watched_from(stopjournal.watched_columns(one)) == one


def test_a_waiting_socket_comes_back_from_its_columns() -> None:
    one = stop.Waiting(socket="\udc80.kvmd", since=1.5, reason="busy", attempts=3)
    assert stopjournal.waiting_from(stopjournal.waiting_columns(one)) == one


@pytest.mark.parametrize(
    ("application", "version"),
    [
        (0, 0),
        (0, stopjournal.VERSION),
        (stopjournal.APPLICATION_ID, stopjournal.VERSION + 1),
        (stopjournal.APPLICATION_ID, 0),
    ],
)
def test_only_our_format_is_taken(application: int, version: int) -> None:
    with pytest.raises(errors.Damaged):
        stopjournal.check_version(application, version)


def test_columns_of_other_types_are_damage() -> None:
    row = (1, *stopjournal.stop_columns(examples.a_stop()))
    for position in (0, 5, 6, 7):
        with pytest.raises(errors.Damaged):
            stopjournal.stop_from((*row[:position], "x", *row[position + 1 :]))
