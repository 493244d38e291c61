"""What the cleaner removes and what it leaves, on a node's real files."""

import datetime as dt
import fcntl
import os
import sys
import time
from pathlib import Path

import pytest

from lab import examples, journals
from pyganeti.base import certificates, livelocks, paths
from pyganeti.cleaner import broom, cleaning, journal

DAY = 86400.0
_UUID = "0f5ab3e8-4b9b-4e6c-8d27-5b0ad5a3a111"


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> paths.Paths:
    made = paths.Paths(tmp_path, "node1.example.com")
    for place in (made.run_dir, made.state_dir, made.log_dir):
        place.mkdir(parents=True)
    made.ssconf("master_node").write_text("node1.example.com\n")
    monkeypatch.setenv("GANETI_ROOTDIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", [str(Path(sys.executable).with_name("ganeti-cleaner"))])
    return made


def aged(path: Path, days: float, content: bytes = b"x") -> Path:
    """Make a file that was changed last so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    at = time.time() - days * DAY
    os.utime(path, (at, at))
    return path


def key(layout: paths.Paths, name: str, *, begun: float) -> Path:
    """Make a key of a transfer whose certificate was good for a day, so many days ago."""
    made = certificates.make_server(dt.datetime.now(dt.UTC) - dt.timedelta(days=begun), days=1)
    half, certificate = certificates.halves(made)
    folder = layout.crypto_dir / name
    folder.mkdir(parents=True)
    (folder / "key").write_bytes(half)
    (folder / "cert").write_bytes(certificate)
    return folder


def left(*files: Path) -> list[Path]:
    return [file for file in files if os.path.lexists(file)]


async def clean(layout: paths.Paths, part: cleaning.Part, *, dry_run: bool = False) -> int:
    return await cleaning.clean(layout, part, dry_run=dry_run)


def log_of(layout: paths.Paths, folder: str = "cleaner") -> str:
    return "".join(path.read_text() for path in sorted((layout.log_dir / folder).iterdir()))


async def test_keys_go_when_their_certificates_have_expired(layout: paths.Paths) -> None:
    expired, good = key(layout, "x509-1", begun=2), key(layout, "x509-2", begun=0)
    strange = aged(layout.crypto_dir / "x509-3/cert", 99, b"no certificate")
    more = aged(key(layout, "x509-4", begun=2) / "notes", 99)

    assert await clean(layout, "node") == 0

    assert left(expired, good / "key", strange, more) == [good / "key", strange, more]
    assert not (more.parent / "key").exists()
    assert f"removed file={expired}/key" in log_of(layout)


async def test_files_of_passes_go_after_three_weeks(layout: paths.Paths) -> None:
    old = [
        aged(layout.state_dir / f"watcher.{_UUID}.{kind}", 22)
        for kind in ("data", "instance-status")
    ]
    kept = [
        aged(layout.state_dir / f"watcher.{_UUID[:-1]}2.data", 20),
        aged(layout.state_dir / "watcher.recovery.data", 99),
        aged(layout.state_dir / "watcher.pause", 99),
        aged(layout.state_dir / "config.data", 99),
        aged(layout.queue_dir / f"watcher.{_UUID}.data", 99),
    ]
    assert await clean(layout, "node") == 0
    assert left(*old, *kept) == kept


async def test_archived_jobs_go_after_three_weeks_and_others_never(layout: paths.Paths) -> None:
    shelves = layout.queue_dir / "archive"
    old = [aged(shelves / "0/job-7", 22), aged(shelves / "12/job-120001", 400)]
    kept = [
        aged(shelves / "0/job-8", 20),
        aged(layout.queue_dir / "job-9", 400),
        aged(shelves / "0/notes", 400),
        aged(shelves / "job-10", 400),
        aged(shelves / "mine/job-11", 400),
    ]
    assert await clean(layout, "node") == 0
    assert left(*old) == old
    assert await clean(layout, "master") == 0
    assert left(*old, *kept) == kept
    assert "its file is older than 21 days" in log_of(layout, "master-cleaner")


async def test_what_killed_writers_left_goes_after_a_day(layout: paths.Paths) -> None:
    name = ".new-0123456789abcdef"
    old = [
        aged(layout.state_dir / name, 2),
        aged(layout.queue_dir / name, 2),
        aged(layout.ctrl_dir / name, 2),
    ]
    kept = [
        aged(layout.run_dir / name, 0.5),
        aged(layout.state_dir / ".new-mine", 99),
        aged(layout.state_dir / ".newer-0123456789abcdef", 99),
    ]
    assert await clean(layout, "node") == 0
    assert left(*old, *kept) == kept


async def test_signs_of_life_go_when_nobody_lives(layout: paths.Paths) -> None:
    living = livelocks.Livelock(layout.livelock_dir, time.time())
    try:
        dead = aged(layout.livelock_dir / "masterd_1_2.0", 1)
        fresh = aged(layout.livelock_dir / "masterd_1_3.0", 0)
        os.utime(living.path, (1, 1))
        assert await clean(layout, "node") == 0
        assert left(dead, fresh, living.path) == [fresh, living.path]
    finally:
        living.close()


async def test_no_symlink_leads_out(layout: paths.Paths, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    others = [aged(outside / "0/job-7", 99), aged(outside / f"watcher.{_UUID}.data", 99)]
    (layout.queue_dir / "archive").mkdir(parents=True)
    (layout.queue_dir / "archive/0").symlink_to(outside / "0")
    (layout.state_dir / f"watcher.{_UUID}.data").symlink_to(others[1])
    layout.crypto_dir.symlink_to(key(paths.Paths(outside), "x509-1", begun=9).parent)

    assert await clean(layout, "node") == 1  # a directory that is none was passed over
    assert await clean(layout, "master") == 0

    assert left(*others) == others
    assert len(list(outside.rglob("key"))) == 1
    assert "passed over" in log_of(layout)


async def test_a_dry_run_changes_nothing_and_says_what_it_would(
    layout: paths.Paths, capfd: pytest.CaptureFixture[str]
) -> None:
    old = [aged(layout.queue_dir / "archive/0/job-7", 22), key(layout, "x509-1", begun=2) / "key"]
    assert await clean(layout, "node", dry_run=True) == 0
    assert await clean(layout, "master", dry_run=True) == 0
    said = capfd.readouterr().err
    assert left(*old) == old
    assert all(f"would be removed file={path}" in said for path in old)
    assert not list(layout.log_dir.iterdir())


async def test_a_machine_in_no_cluster_keeps_what_a_cluster_left(layout: paths.Paths) -> None:
    old = [aged(layout.queue_dir / "archive/0/job-7", 22), aged(layout.state_dir / "x", 99)]
    layout.ssconf("master_node").unlink()
    assert await clean(layout, "node") == 0
    assert await clean(layout, "master") == 0
    assert left(*old) == old


async def test_the_last_fifty_logs_are_kept(layout: paths.Paths) -> None:
    logs = [
        aged(layout.log_dir / f"cleaner/cleaner-2020-01-01T00_{number:02}.1.log", 99)
        for number in range(55)
    ]
    notes = aged(layout.log_dir / "cleaner/notes", 99)
    assert await clean(layout, "node") == 0
    assert left(*logs, notes) == [*logs[6:], notes]  # its own is one of the fifty


async def test_what_cannot_be_removed_is_told_and_the_rest_goes_on(layout: paths.Paths) -> None:
    (layout.queue_dir / "archive").parent.mkdir()
    (layout.queue_dir / "archive").write_text("a file in a directory's place")
    assert await clean(layout, "master") == 1
    assert "passed over" in log_of(layout, "master-cleaner")
    count = broom.Count()
    with broom.opened(count, layout.state_dir) as place:
        assert place is not None
        (layout.state_dir / "folder").mkdir()
        assert not place.remove("folder", "to see what happens")
        assert not place.read("no-such", 10)
    assert count.failed == 1


async def test_without_room_for_a_log_it_cleans_all_the_same(
    layout: paths.Paths, capfd: pytest.CaptureFixture[str]
) -> None:
    old = aged(layout.queue_dir / "archive/0/job-7", 22)
    layout.log_dir.rmdir()
    layout.log_dir.touch()
    assert await clean(layout, "master") == 1  # its earlier logs cannot be looked at
    assert not left(old)
    assert f"removed file={old}" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        ((), []),
        (("-d", "--keep-days", "3", "--syslog"), ["--keep-days", "3"]),
        (("--keep-rows=5", "--keep-days"), ["--keep-rows=5", "--keep-days"]),
    ],
)
def test_stops_are_kept_for_as_long_as_the_daemon_would(
    flags: tuple[str, ...], kept: list[str]
) -> None:
    assert journal.keeping(flags) == kept


async def test_old_stops_go_while_kvmd_does_not_run(layout: paths.Paths) -> None:
    now = time.time()
    with journals.observed(layout.kvmd_journal) as kept:
        await kept.record(
            *(examples.a_stop(number, recorded=now - 100 * DAY) for number in range(300)),
            *(examples.a_stop(number, recorded=now) for number in range(300, 310)),
        )
        assert await clean(layout, "node", dry_run=True) == 0
    assert len(journals.stored(layout.kvmd_journal)) == 310

    with layout.kvmd_journal.with_name("journal.sqlite.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert await clean(layout, "node") == 0
        assert "does that by itself" in log_of(layout)
    assert len(journals.stored(layout.kvmd_journal)) == 310

    assert await clean(layout, "node") == 0
    assert len(journals.stored(layout.kvmd_journal)) == 10
    assert "300 recorded stops were removed" in log_of(layout)


async def test_a_journal_that_is_none_stays_as_it_is(layout: paths.Paths) -> None:
    aged(layout.kvmd_journal, 0, b"no database at all, but something else")
    assert await clean(layout, "node") == 1
    assert "was not pruned" in log_of(layout)
    assert layout.kvmd_journal.read_bytes() == b"no database at all, but something else"
