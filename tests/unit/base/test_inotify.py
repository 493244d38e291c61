"""What the bare inotify gives: names as they are, an empty read instead of a wait, errors."""

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyganeti.base import inotify


@pytest.fixture
def queue() -> Iterator[inotify.Inotify]:
    one = inotify.Inotify()
    yield one
    one.close()


def test_reading_with_nothing_to_read_does_not_wait(queue: inotify.Inotify) -> None:
    assert queue.read() == []


def test_events_come_in_order_with_their_names(queue: inotify.Inotify, tmp_path: Path) -> None:
    wd = queue.add(str(tmp_path), inotify.CREATE | inotify.DELETE)
    (tmp_path / "one").touch()
    (tmp_path / "two").mkdir()
    (tmp_path / "one").unlink()
    events = [(which, mask & 0xFFFF, name) for which, mask, name in queue.read()]
    assert events == [
        (wd, inotify.CREATE, "one"),
        (wd, inotify.CREATE, "two"),
        (wd, inotify.DELETE, "one"),
    ]


@pytest.mark.parametrize("name", [b"\xff\xfe.kvmd", "bücher 猫.kvmd".encode(), b"a\nb", b"n" * 255])
def test_odd_names_come_back_as_the_file_system_has_them(
    queue: inotify.Inotify, tmp_path: Path, name: bytes
) -> None:
    queue.add(str(tmp_path), inotify.CREATE)
    os.close(os.open(os.fsencode(tmp_path) + b"/" + name, os.O_CREAT | os.O_WRONLY))
    assert [os.fsencode(event[2]) for event in queue.read()] == [name]


def test_all_of_many_events_are_read_in_bounded_bites(
    queue: inotify.Inotify, tmp_path: Path
) -> None:
    queue.add(str(tmp_path), inotify.CREATE)
    for number in range(2000):
        (tmp_path / f"instance{number}.example.com.kvmd").touch()
    bites = []
    while events := queue.read():
        bites.append(len(events))
    assert sum(bites) == 2000
    assert max(bites) <= 1024


def test_a_watch_on_what_is_watched_is_the_same_watch(
    queue: inotify.Inotify, tmp_path: Path
) -> None:
    first = queue.add(str(tmp_path), inotify.CREATE)
    assert queue.add(str(tmp_path), inotify.DELETE) == first


def test_removing_a_watch_twice_does_no_harm(queue: inotify.Inotify, tmp_path: Path) -> None:
    wd = queue.add(str(tmp_path), inotify.CREATE)
    queue.remove(wd)
    queue.remove(wd)
    assert [(which, mask) for which, mask, _ in queue.read()] == [(wd, inotify.IGNORED)]


def test_what_cannot_be_watched_raises_with_its_path(
    queue: inotify.Inotify, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        queue.add(str(tmp_path / "nowhere"), inotify.CREATE)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        queue.add(str(tmp_path / "file"), inotify.CREATE | inotify.ONLYDIR)


def test_a_closed_queue_lets_its_descriptor_go_once() -> None:
    queue = inotify.Inotify()
    fd = queue.fd
    queue.close()
    queue.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_queue_can_be_watched_by_an_epoll_of_another_epoll(
    queue: inotify.Inotify, tmp_path: Path
) -> None:
    queue.add(str(tmp_path), inotify.CREATE)
    with select.epoll() as inner, select.epoll() as outer:
        inner.register(queue.fd, select.EPOLLIN)
        outer.register(inner.fileno(), select.EPOLLIN)
        assert outer.poll(0) == []
        (tmp_path / "one").touch()
        assert outer.poll(0) == [(inner.fileno(), select.EPOLLIN)]
        queue.read()
        assert outer.poll(0) == []
