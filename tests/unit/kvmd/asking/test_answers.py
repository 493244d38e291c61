import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from lab import examples, journals
from pyganeti.clients import stopjournal
from pyganeti.kvmd.asking import history, listing, why
from pyganeti.model import cause, evidence, intent, stop
from pyganeti.words import stopstory

_NOW = 1_700_000_000.0

KILLED = examples.a_stop(
    3,
    name="web1",
    cause=cause.Cause.OOM_KILLED,
    started=_NOW - 90_000,
    stopped=_NOW - 3600,
    recorded=_NOW - 3599.5,
    why="qemu died of SIGKILL and the out-of-memory count of its cgroup rose",
    evidence=evidence.Evidence(
        pid=4003,
        attachment=evidence.Attachment.PART,
        events=(
            evidence.QmpEvent(_NOW - 3700, "POWERDOWN"),
            evidence.QmpEvent(_NOW - 3650, "SUSPEND_DISK"),
        ),
        exit=evidence.ExitStatus(9, "pidfd"),
        oom_kills=1,
        oom_source="its cgroup",
        ended_at=_NOW - 3600,
        socket_left=True,
        pid_file_left=True,
        intent=intent.Intent(
            kind=intent.IntentKind.POWERDOWN,
            pid=4003,
            deadline=_NOW - 3640,
            written=_NOW - 3701,
            job=42,
            reason="gnt-instance shutdown\x1b[2J",
        ),
        missing=("the QMP events at its end",),
    ),
)
PLAIN = examples.a_stop(4, name="db\x1b[31m", started=_NOW - 500, stopped=_NOW - 100)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    with journals.observed(path) as found:
        found.kept.remember(
            examples.watched(examples.a_stop(9), name="web1", since=_NOW - 60, status="paused")
        )
        found.kept.remember(
            examples.watched(
                examples.a_stop(10), name="\udcff", since=_NOW - 90_061, whole=False, attached=False
            )
        )
        found.kept.waiting(
            [stop.Waiting(socket="x\x1b.kvmd", since=_NOW - 5, reason="busy", attempts=3)]
        )
        await found.record(KILLED, PLAIN)
    return path


def _written(path: Path, function: Any, *words: Any, **options: Any) -> str:
    out = io.StringIO()
    with stopjournal.Reader(path) as reader:
        function(reader, out, *words, **options)
    return out.getvalue()


def _objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_list_shows_who_is_watched_since_when_and_who_waits(path: Path) -> None:
    lines = _written(path, listing.show, running=True, now=_NOW).splitlines()
    head, one, other, _, waiting_head, waiting = lines
    assert head.split() == ["NAME", "PID", "SINCE", "FOR", "SEEN", "QEMU", "STATE"]
    assert one.split()[0] == "web1"
    assert one.split()[-4:] == ["1min", "whole", "7.2.22", "paused"]
    assert "1d 1h" in other
    assert "part, not attached" in other
    assert other.startswith("\\xff ")
    assert waiting_head.startswith("WAITING SOCKET")
    assert waiting.split()[0] == "x\\x1b.kvmd"
    assert waiting.split()[-3:] == ["5s", "3", "busy"]


async def test_list_says_when_nobody_watches(path: Path) -> None:
    assert "is not running" in _written(path, listing.show, running=False, now=_NOW)
    assert "is not running" not in _written(path, listing.show, running=None, now=_NOW)


async def test_list_for_programs_has_these_keys(path: Path) -> None:
    daemon, one, other, waiting = _objects(
        _written(path, listing.show, running=False, now=_NOW, as_json=True)
    )
    assert daemon == {"version": 1, "kind": "daemon", "running": False}
    assert set(one) == {
        *("version", "kind", "name", "key", "boot_id", "socket", "pid", "start_ticks"),
        *("started", "since", "attached", "whole", "incoming", "reset_ends_qemu", "status"),
        *("events", "qemu"),
    }
    assert (one["kind"], one["name"], one["pid"]) == ("watched", "web1", 4009)
    assert other["name"] == "\\xff"
    assert waiting == {
        "version": 1,
        "kind": "waiting",
        "socket": "x\x1b.kvmd",
        "since": _NOW - 5,
        "reason": "busy",
        "attempts": 3,
    }


async def test_stops_are_shown_oldest_first_without_control_bytes(path: Path) -> None:
    text = _written(path, history.show)
    head, first, second = text.splitlines()
    assert head.split() == ["STOPPED", "NAME", "PID", "RAN", "CAUSE", "WHY"]
    assert "web1" in first
    assert "oom-killed" in first
    assert "db\\x1b[31m" in second
    assert "\x1b" not in text
    assert "No such stop" in _written(path, history.show, name="nobody")


async def test_stops_for_programs_are_rows(path: Path) -> None:
    rows = _objects(_written(path, history.show, as_json=True))
    assert [row["cause"] for row in rows] == ["oom-killed", "user-poweroff"]
    assert rows[1]["name"] == "db\x1b[31m"
    assert _written(path, history.show, as_json=True, since=_NOW) == ""


async def test_why_tells_what_decided_what_was_announced_and_what_was_missing(path: Path) -> None:
    text = _written(path, why.show, "web1", now=_NOW)
    story, _, table = text.partition("\n\n")
    story = " ".join(story.split())
    for part in (
        "web1 (pid 4003, QEMU 7.2.22) was killed by the host's kernel because memory ran out",
        "(1h ago), after it had run for 1d.",
        "What decided: qemu died of SIGKILL and the out-of-memory count of its cgroup rose.",
        "for a part of its life only and was not connected at its end",
        "announced by job 42: powerdown, but that had run out 40s before",
        "Looked for in vain: the QMP events at its end.",
        "A guest of that name is under watch since",
    ):
        assert part in story
    rows = [line.split("  ") for line in table.splitlines()[1:]]
    sources = [[cell for cell in row if cell][1].strip() for row in rows]
    assert sources == [
        "the kernel",
        "an administrator's intent",
        "qemu",
        "the guest, told by qemu",
        "kvmd",
        "the kernel, by pidfd",
        "the kernel",
        "kvmd",
        "kvmd",
    ]
    assert "\x1b" not in text


async def test_why_says_if_nothing_is_on_record(path: Path) -> None:
    out = io.StringIO()
    with stopjournal.Reader(path) as reader:
        assert not why.show(reader, out, "\udcff", now=_NOW)
        assert "No stop of \\xff is on record. A guest of that name" in out.getvalue()
        assert why.show(reader, out, "web1", now=_NOW)


async def test_why_for_programs_has_the_row_and_its_timeline(path: Path) -> None:
    [row] = _objects(_written(path, why.show, "web1", now=_NOW, as_json=True))
    times = [moment["at"] for moment in row["timeline"]]
    known = [at for at in times if at is not None]
    assert known == sorted(known)
    assert times[: len(known)] == known
    assert set(row["timeline"][0]) == {"at", "source", "what"}
    assert row["cause"] == "oom-killed"
    assert _written(path, why.show, "nobody", now=_NOW, as_json=True) == ""


@pytest.mark.parametrize("one", list(cause.Cause))
def test_there_is_a_story_for_every_cause_and_for_no_evidence(one: cause.Cause) -> None:
    bare = examples.a_stop(
        cause=one, why="", pid=None, started=None, qemu="", evidence=evidence.Evidence()
    )
    assert one.value in stopstory.story(bare, _NOW)
    assert stopstory.timeline(bare)


async def test_follow_writes_each_stop_at_once(path: Path) -> None:
    ended = threading.Event()

    class Out(io.StringIO):
        flushed = ""

        def flush(self) -> None:
            self.flushed = self.getvalue()

    for as_json in (False, True):
        out = Out()
        ended.clear()

        def follow(out: Out = out, as_json: bool = as_json) -> None:  # noqa: FBT001
            with stopjournal.Reader(path) as reader:
                history.follow(reader, out, as_json=as_json, after=1, ended=ended.wait)

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            await journals.until(lambda out=out: "user-poweroff" in out.flushed)  # type: ignore[misc]
        finally:
            ended.set()
            thread.join(10)
        assert "\x1b" not in out.getvalue()
        assert "web1" not in out.getvalue()
