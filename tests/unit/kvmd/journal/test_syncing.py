"""What is committed reaches the disk by another thread, which nobody has to wait for."""

import os
import threading
import time
from pathlib import Path

from pyganeti.kvmd.journal import syncing

_DEADLINE = 10.0


class Failures:
    def __init__(self) -> None:
        self.seen: list[OSError] = []
        self.first = threading.Event()

    def __call__(self, error: OSError) -> None:
        self.seen.append(error)
        self.first.set()


def test_what_was_asked_for_is_done_before_the_end(tmp_path: Path) -> None:
    failures = Failures()
    refusing = tmp_path / "journal.sqlite-wal"
    refusing.symlink_to("elsewhere")
    syncer = syncing.Syncer(refusing, failures)
    syncer.ask()
    syncer.end(_DEADLINE)
    assert len(failures.seen) == 1


def test_a_refusing_disk_is_told_of_and_asked_again_the_next_time(tmp_path: Path) -> None:
    failures = Failures()
    log = tmp_path / "journal.sqlite-wal"
    log.symlink_to("elsewhere")
    syncer = syncing.Syncer(log, failures)
    syncer.ask()
    assert failures.first.wait(_DEADLINE)
    log.unlink()
    log.write_bytes(b"frames")
    syncer.ask()
    syncer.end(_DEADLINE)
    assert len(failures.seen) == 1


def test_a_log_that_has_been_folded_in_is_no_failure(tmp_path: Path) -> None:
    failures = Failures()
    syncer = syncing.Syncer(tmp_path / "gone", failures)
    syncer.ask()
    syncer.end(_DEADLINE)
    assert failures.seen == []


def test_nobody_waits_for_a_disk_that_hangs(tmp_path: Path) -> None:
    failures = Failures()
    hanging = tmp_path / "journal.sqlite-wal"
    os.mkfifo(hanging)  # opening it hangs until somebody writes to it
    syncer = syncing.Syncer(hanging, failures)
    begun = time.monotonic()
    for _ in range(1000):
        syncer.ask()
    syncer.end(0.05)
    assert time.monotonic() - begun < _DEADLINE
    writer = os.open(hanging, os.O_WRONLY)  # lets go of it, as the disk might at last
    os.close(writer)
    syncer.end(_DEADLINE)
