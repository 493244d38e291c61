"""What lies beside a journal: the log that is given its blocks before they are needed."""

import shutil
from pathlib import Path

from lab import examples
from pyganeti.kvmd.journal import journalfile, place
from pyganeti.wire import stopjournal

ENOUGH = 4 * 1024 * 1024


def opened(path: Path) -> journalfile.JournalFile:
    file = journalfile.JournalFile(path, keep_days=90, keep_rows=1000)
    file.open()
    return file


def test_an_opened_journal_has_its_log_on_the_disk_already(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    file = opened(path)
    found = place.log_of(path).stat()
    file.close()
    assert found.st_size == ENOUGH
    assert found.st_blocks * 512 >= ENOUGH


def test_what_was_stored_before_a_crash_is_found_in_front_of_the_empty_rest(tmp_path: Path) -> None:
    path, copy = tmp_path / "journal.sqlite", tmp_path / "crashed" / "journal.sqlite"
    copy.parent.mkdir()
    file = opened(path)
    stop = examples.a_stop(1)
    file.store([(stop, stopjournal.Marker.WANTED)])
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    file.close()
    again = opened(copy)
    _, wanted = again.load(stop.boot_id)
    again.close()
    assert [found.key for found in wanted] == [stop.key]


def test_a_log_that_is_long_enough_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    log = place.log_of(path)
    log.write_bytes(bytes(ENOUGH + 1))
    place.grow_log(path)
    assert log.stat().st_size == ENOUGH + 1


def test_a_missing_log_is_not_made(tmp_path: Path) -> None:
    place.grow_log(tmp_path / "journal.sqlite")
    assert list(tmp_path.iterdir()) == []
