import json

import pytest

from lab import examples
from pyganeti.base import errors
from pyganeti.model import cause, evidence, intent
from pyganeti.wire import stoprow, watchedrow

_KEYS = [
    "version",
    "number",
    "name",
    "name_hex",
    "key",
    "boot_id",
    "socket",
    "pid",
    "started",
    "stopped",
    "recorded",
    "cause",
    "meaning",
    "marker",
    "why",
    "qemu",
    "evidence",
]


def test_the_keys_of_a_row_are_these() -> None:
    assert list(json.loads(stoprow.as_json(examples.a_stop()))) == _KEYS
    bare = examples.a_stop(pid=None, started=None, qemu="", evidence=evidence.Evidence())
    assert list(json.loads(stoprow.as_json(bare))) == _KEYS


def test_a_row_is_one_line_whatever_the_name() -> None:
    for name in ("a\nb", "\udcff\n", "\u2028", '"', "\x00\x1b[31m", "\ud800"):
        row = stoprow.as_json(examples.a_stop(name=name, why=name))
        assert b"\n" not in row
        json.loads(row)


def test_the_exact_bytes_of_a_name_that_is_not_utf_8_are_told() -> None:
    row = stoprow.as_dict(examples.a_stop(name="caf\udce9"))
    assert row["name"] == "caf\\xe9"
    assert bytes.fromhex(row["name_hex"]) == b"caf\xe9"
    assert stoprow.as_dict(examples.a_stop(name="café"))["name_hex"] is None
    stoprow.as_dict(examples.a_stop(name="\ud800"))


def test_a_row_becomes_the_stop_that_it_was() -> None:
    found = evidence.Evidence(
        exit=evidence.ExitStatus(9, "pidfd"),
        intent=intent.Intent(kind=intent.IntentKind.KILL, pid=1, deadline=5, job=12, reason="x"),
        missing=("this", "that"),
    )
    for one in (
        examples.a_stop(number=7),
        examples.a_stop(evidence=found, pid=None, started=None),
        examples.a_stop(name="caf\udce9"),
    ):
        assert stoprow.stop_from(json.loads(stoprow.as_json(one))) == one


def test_a_newer_nodes_row_is_read_as_far_as_it_is_known() -> None:
    row = stoprow.as_dict(examples.a_stop())
    read = stoprow.stop_from({**row, "cause": "boredom", "evidence": {"pid": "none"}, "new": 1})
    assert (read.cause, read.key) == (cause.Cause.UNKNOWN, row["key"])
    assert "'boredom', which is no known cause" in read.why
    assert "not legible" in read.evidence.missing[0]


@pytest.mark.parametrize("row", [None, [], {}, {"name": "web1"}, "web1"])
def test_what_is_no_row_is_damage(row: object) -> None:
    with pytest.raises(errors.Damaged):
        stoprow.stop_from(row)


def test_the_environment_can_be_one() -> None:
    found = evidence.Evidence(
        exit=evidence.ExitStatus(9, "pidfd"),
        intent=intent.Intent(kind=intent.IntentKind.KILL, pid=1, deadline=5, job=12),
    )
    one = examples.a_stop(name="w\udcff", why="a\0b\nc", evidence=found, started=None, stopped=2.5)
    values = stoprow.as_environment(one)
    assert values["GANETI_STOP_NAME"] == "w\udcff"
    assert values["GANETI_STOP_CAUSE"] == "user-poweroff"
    assert values["GANETI_STOP_MARKER"] == "yes"
    assert values["GANETI_STOP_WHY"] == "a\\x00b\\x0ac"
    assert values["GANETI_STOP_STARTED"] == ""
    assert values["GANETI_STOP_STOPPED"] == "2.500000"
    assert values["GANETI_STOP_EXIT"] == "SIGKILL"
    assert (values["GANETI_STOP_INTENT"], values["GANETI_STOP_JOB"]) == ("kill", "12")
    assert all("\0" not in value and "\n" not in value for value in values.values())


def test_a_watched_qemu_is_told_and_read() -> None:
    one = examples.watched(examples.a_stop(), events=(evidence.QmpEvent(5.0, "STOP"),))
    assert watchedrow.watched_from(json.loads(json.dumps(watchedrow.as_dict(one)))) == one
    with pytest.raises(errors.Damaged):
        watchedrow.watched_from({"name": "web1"})
