import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyganeti.base import dirlock, errors

_HOLDER = """
import os, sys
from pyganeti.base import dirlock
fd = os.open(sys.argv[1], os.O_RDONLY)
dirlock.lock(fd)
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def holder_of(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", _HOLDER, str(path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout
        assert child.stdout.readline() == b"locked\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def test_a_second_one_is_refused_by_name_and_pid(tmp_path: Path) -> None:
    with holder_of(tmp_path) as child, opened(tmp_path) as fd:
        with pytest.raises(errors.AlreadyRunning) as caught:
            dirlock.lock(fd)
        assert caught.value.pid == child.pid
        assert caught.value.name == Path(f"/proc/{child.pid}/comm").read_text().strip()
        assert caught.value.what == str(tmp_path)


def test_a_file_that_names_its_holder_spares_the_kernels_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.pid"
    file.write_text("")
    with holder_of(file) as child:
        fd = os.open(file, os.O_RDONLY)
        try:
            assert dirlock.holder(fd) == child.pid
            file.write_text("1\n")  # somebody who has no lock on it
            assert dirlock.holder(fd) == child.pid
            assert not dirlock.holds(1, fd)
            file.write_text(f"{child.pid}\n")
            monkeypatch.setattr(dirlock, "_LOCKS", tmp_path / "none")
            assert dirlock.holder(fd) == child.pid
            child.kill()
            child.wait()
            assert dirlock.holder(fd) is None
        finally:
            os.close(fd)


def test_the_lock_goes_with_its_holder_however_that_ends(tmp_path: Path) -> None:
    with holder_of(tmp_path) as child, opened(tmp_path) as fd:
        child.kill()
        child.wait()
        dirlock.lock(fd)


def test_the_lock_follows_a_renamed_directory_and_not_its_path(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with holder_of(tmp_path / "a") as child:
        (tmp_path / "a").rename(tmp_path / "b")
        (tmp_path / "a").mkdir()
        with opened(tmp_path / "a") as new, opened(tmp_path / "b") as old:
            dirlock.lock(new)
            with pytest.raises(errors.AlreadyRunning, match=str(child.pid)):
                dirlock.lock(old)


def test_the_lock_can_be_given_back_though_a_child_has_a_copy(tmp_path: Path) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as second:
        dirlock.lock(first)
        with pytest.raises(errors.AlreadyRunning, match=str(os.getpid())):
            dirlock.lock(second)
        copy = os.dup(first)
        try:
            dirlock.unlock(first)
            dirlock.lock(second)
        finally:
            os.close(copy)


def test_a_directory_locked_by_one_has_nothing_to_do_with_another(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with holder_of(tmp_path), opened(tmp_path / "a") as fd:
        dirlock.lock(fd)


def test_who_only_waits_for_a_lock_is_not_its_holder(
    tmp_path: Path, until: Callable[[Callable[[], object]], None]
) -> None:
    waiter = (
        f"import fcntl, os; fcntl.flock(os.open({str(tmp_path)!r}, os.O_RDONLY), fcntl.LOCK_EX)"
    )
    with opened(tmp_path) as fd:
        inode = str(os.fstat(fd).st_ino)
        fcntl.flock(fd, fcntl.LOCK_EX)
        child = subprocess.Popen([sys.executable, "-c", waiter, str(tmp_path)])
        try:
            until(
                lambda: any(
                    "->" in line and inode in line
                    for line in Path("/proc/locks").read_text().splitlines()
                )
            )
            assert dirlock.holder(fd) == os.getpid()
        finally:
            child.kill()
            child.wait()


def test_nobody_has_what_is_not_locked(tmp_path: Path) -> None:
    with opened(tmp_path) as fd:
        assert dirlock.holder(fd) is None


def test_the_name_of_a_process_that_is_gone_is_empty() -> None:
    assert dirlock.command_name(2**22 + 1) == ""
