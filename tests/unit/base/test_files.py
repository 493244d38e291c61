import errno
import os
import random
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from pyganeti.base import descriptors, errors, files

_REWRITER = """
import sys
from pathlib import Path
from typing import Protocol
from pyganeti.base import files
path = Path(sys.argv[1])
n = 0
while True:
    n += 1
    files.write_durably(path, b"%d\\n" % n * 5000)
"""


class Disk(Protocol):
    path: Path

    def fill(self) -> None: ...


_WRITERS = [files.write_durably, files.write_atomically]


@pytest.fixture
def dirfd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("write", _WRITERS)
def test_a_file_is_written_with_exactly_the_mode_that_was_asked_for(
    write: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    before = os.umask(0o077)
    try:
        write(path, b"one", mode=0o644)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"one"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    write(path, b"")
    assert path.read_bytes() == b""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("write", _WRITERS)
def test_a_symlink_is_replaced_and_its_target_left_alone(
    write: Callable[..., None], tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    link = tmp_path / "link"
    link.symlink_to(target)
    write(link, b"new")
    assert target.read_bytes() == b"precious"
    assert not link.is_symlink()


@pytest.mark.root
def test_a_file_gets_its_owner_before_it_gets_its_name(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_durably(path, b"x", 0o640, owner=(12345, 54321))
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 54321, 0o640)


def test_a_name_as_long_as_the_file_system_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    files.write_durably(path, b"x")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_directory_that_is_missing_is_the_callers_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write_durably(tmp_path / "no" / "file", b"x")


def test_what_cannot_be_replaced_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write_durably(tmp_path / "directory", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["directory"]


@pytest.mark.root
@pytest.mark.parametrize("write", _WRITERS)
def test_a_full_disk_costs_the_new_content_and_never_the_old(
    write: Callable[..., None], small_disk: Disk
) -> None:
    disk = small_disk
    path = disk.path / "file"
    write(path, b"old")
    disk.fill()
    with pytest.raises(OSError, match="No space left") as caught:
        write(path, bytes(10_000))
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in path.parent.iterdir()) == ["ballast", "file"]


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(
    tmp_path: Path, until: Callable[[Callable[[], object]], None]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0\n" * 5000)
    for _ in range(8):
        before = path.read_bytes()
        child = subprocess.Popen([sys.executable, "-c", _REWRITER, str(path)])
        try:
            until(lambda before=before: path.read_bytes() != before)  # type: ignore[misc]
            for _ in range(random.randrange(200)):
                path.stat()
        finally:
            child.kill()
            child.wait()
        content = path.read_bytes()
        first = content.split(b"\n", 1)[0]
        assert content == (first + b"\n") * 5000


def test_missing_directories_get_exactly_their_mode_and_old_ones_keep_theirs(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o700)
    before = os.umask(0o077)
    try:
        files.make_directories(tmp_path / "a" / "b", 0o755)
        files.make_directories(tmp_path / "a" / "b", 0o700)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (tmp_path, tmp_path / "a", tmp_path / "a/b")]
    assert modes == [0o700, 0o755, 0o755]


def test_a_file_in_the_place_of_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        files.make_directories(tmp_path / "file" / "below")
    with pytest.raises(NotADirectoryError):
        files.make_directories(tmp_path / "file")


def test_many_can_make_the_same_directories_at_once(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def make(n: int) -> None:
        try:
            files.make_directories(tmp_path.joinpath(*(str(i) for i in range(n))))
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=make, args=(30,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_marker_is_an_empty_file_for_its_owner_only(dirfd: int, tmp_path: Path) -> None:
    assert files.create_marker(dirfd, "web1.shutdown") is True
    found = (tmp_path / "web1.shutdown").stat()
    assert stat.S_ISREG(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_size == 0


def test_a_marker_that_is_there_is_left_as_it_is(dirfd: int, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"content")
    assert files.create_marker(dirfd, "m") is False
    assert (tmp_path / "m").read_bytes() == b"content"


def test_a_marker_follows_no_symlink_dangling_or_not(dirfd: int, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"content")
    (tmp_path / "link").symlink_to(precious)
    (tmp_path / "dangling").symlink_to(tmp_path / "victim")
    for name in ("link", "dangling"):
        with pytest.raises(errors.Denied, match="symlink"):
            files.create_marker(dirfd, name)
    assert precious.read_bytes() == b"content"
    assert not (tmp_path / "victim").exists()


def test_a_marker_is_denied_where_something_else_has_the_name(dirfd: int, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("directory", "pipe"):
        with pytest.raises(errors.Denied, match=name):
            files.create_marker(dirfd, name)


def test_a_marker_goes_into_the_directory_that_was_opened_wherever_it_is_now(
    tmp_path: Path,
) -> None:
    (tmp_path / "ctrl").mkdir()
    fd = os.open(tmp_path / "ctrl", os.O_RDONLY)
    try:
        (tmp_path / "ctrl").rename(tmp_path / "moved")
        (tmp_path / "ctrl").mkdir()
        assert files.create_marker(fd, "m") is True
        assert (tmp_path / "moved/m").exists()
        assert not (tmp_path / "ctrl/m").exists()
        (tmp_path / "moved/m").unlink()
        (tmp_path / "moved").rmdir()
        with pytest.raises(FileNotFoundError):
            files.create_marker(fd, "m")
    finally:
        os.close(fd)


@pytest.mark.root
def test_a_marker_needs_no_room_for_data_but_tells_when_there_is_none_for_files(
    small_disk: Disk,
) -> None:
    disk = small_disk
    disk.fill()
    fd = os.open(disk.path, os.O_RDONLY)
    try:
        assert files.create_marker(fd, "first") is True
        with pytest.raises(OSError, match="No space left"):
            assert all(files.create_marker(fd, str(n)) for n in range(100))
    finally:
        os.close(fd)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "../x", "a\0b", "ä" * 128])
def test_a_name_that_no_file_in_a_directory_can_have_is_refused(name: str, dirfd: int) -> None:
    for act in (files.create_marker, files.remove):
        with pytest.raises(errors.BadInput):
            act(dirfd, name)
    with pytest.raises(errors.BadInput):
        files.read_small(dirfd, name, 10)


def test_names_that_are_not_utf8_work(dirfd: int, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xff\n")
    assert files.create_marker(dirfd, name) is True
    assert [os.fsencode(p.name) for p in tmp_path.iterdir()] == [b"caf\xe9 \xff\n"]
    assert files.read_small(dirfd, name, 0) == b""
    assert files.remove(dirfd, name) is True


def test_removing_says_whether_there_was_something(dirfd: int, tmp_path: Path) -> None:
    (tmp_path / "m").touch()
    (tmp_path / "link").symlink_to("/nowhere")
    assert files.remove(dirfd, "m") is True
    assert files.remove(dirfd, "m") is False
    assert files.remove(dirfd, "link") is True
    (tmp_path / "directory").mkdir()
    with pytest.raises(errors.Denied):
        files.remove(dirfd, "directory")


def test_reading_returns_the_whole_file_up_to_the_limit(dirfd: int, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 1000)
    assert files.read_small(dirfd, "f", 1000) == b"x" * 1000
    with pytest.raises(errors.Damaged, match="999"):
        files.read_small(dirfd, "f", 999)
    assert files.read_small(dirfd, "missing", 10) is None


def test_reading_never_waits_and_never_follows(dirfd: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{dirfd}/socket")
        for name in ("pipe", "directory", "link", "socket"):
            with pytest.raises(errors.Denied):
                files.read_small(dirfd, name, 10)
    before = descriptors.open_count()
    with pytest.raises(errors.Denied):
        files.read_small(dirfd, "directory", 10)
    assert descriptors.open_count() == before
