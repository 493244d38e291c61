"""Where a path leads, which obstacles are told apart, and that every detour raises an event."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyganeti.base import inotify
from pyganeti.base import route as routes


@pytest.fixture
def queue() -> Iterator[inotify.Inotify]:
    one = inotify.Inotify()
    yield one
    one.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a tree with a symbolic link in it and return the path that goes through the link."""
    (tmp_path / "real" / "mid" / "end").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/mid")
    return tmp_path / "link" / "end"


def _open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def _leads_to(route: routes.Route, path: Path) -> bool:
    fd = route.walk()
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    finally:
        os.close(fd)


def _concerned(route: routes.Route, queue: inotify.Inotify) -> bool:
    return any(map(route.is_concerned, queue.read()))


def test_a_path_leads_where_the_kernel_would_go(queue: inotify.Inotify, place: Path) -> None:
    top = place.parent.parent
    (top / "absolute").symlink_to(top / "link" / "end")
    (top / "back").symlink_to("link/../mid/./end/")
    for path in (place, top / "absolute", top / "back"):
        assert _leads_to(routes.Route(str(path), queue), path)
    assert _leads_to(routes.Route(f"{top}//link/./end/..//end/", queue), place)
    assert _leads_to(routes.Route("/", queue), Path("/"))


def test_a_walk_leaves_no_descriptor_open(queue: inotify.Inotify, place: Path) -> None:
    before = _open_descriptors()
    route = routes.Route(str(place), queue)
    os.close(route.walk())
    for obstacle in ("missing", "../link/../nowhere/x"):
        with pytest.raises(FileNotFoundError):
            routes.Route(f"{place}/{obstacle}", queue).walk()
    assert _open_descriptors() == before


@pytest.mark.parametrize(
    ("make", "number"),
    [
        (lambda path: None, errno.ENOENT),
        (lambda path: path.touch(), errno.ENOTDIR),
        (os.mkfifo, errno.ENOTDIR),
        (lambda path: path.symlink_to("x"), errno.ELOOP),
        (lambda path: path.symlink_to("nowhere"), errno.ENOENT),
    ],
    ids=["nothing", "a file", "a fifo", "a loop of links", "a dangling link"],
)
def test_obstacles_are_told_as_open_would(
    queue: inotify.Inotify, tmp_path: Path, make: Callable[[Path], None], number: int
) -> None:
    make(tmp_path / "x")
    for tail in ("", "/below"):
        with pytest.raises(OSError, check=lambda error: error.errno == number):
            routes.Route(f"{tmp_path}/x{tail}", queue).walk()


def _set_elsewhere(top: Path) -> None:
    (top / "new").symlink_to("real")
    (top / "new").rename(top / "link")


CHANGES: dict[str, Callable[[Path], object]] = {
    "the end renamed": lambda top: (top / "real/mid/end").rename(top / "real/mid/other"),
    "the end removed": lambda top: (top / "real/mid/end").rmdir(),
    "a parent renamed": lambda top: (top / "real").rename(top / "unreal"),
    "the link removed": lambda top: (top / "link").unlink(),
    "the link set elsewhere": _set_elsewhere,
    "a parent of all renamed": lambda top: top.rename(top.with_name("elsewhere")),
    "the end's rights changed": lambda top: (top / "real/mid/end").chmod(0o700),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_changes_the_answer_is_a_concern(
    queue: inotify.Inotify, place: Path, change: Callable[[Path], object]
) -> None:
    route = routes.Route(str(place), queue)
    os.close(route.walk())
    assert not _concerned(route, queue)
    change(place.parent.parent)
    assert _concerned(route, queue)


def test_what_others_do_on_the_way_is_no_concern(queue: inotify.Inotify, place: Path) -> None:
    route = routes.Route(str(place), queue)
    os.close(route.walk())
    top = place.parent.parent
    (top / "bystander").mkdir()
    (top / "bystander").rename(top / "real" / "bystander")
    (place / "inside").touch()
    (place / "inside").unlink()
    assert not _concerned(route, queue)


def test_a_missing_step_that_comes_into_being_is_a_concern(
    queue: inotify.Inotify, tmp_path: Path
) -> None:
    route = routes.Route(str(tmp_path / "a" / "b"), queue)
    with pytest.raises(FileNotFoundError):
        route.walk()
    (tmp_path / "a").mkdir()
    assert _concerned(route, queue)
    with pytest.raises(FileNotFoundError):
        route.walk()
    (tmp_path / "a" / "b").mkdir()
    assert _concerned(route, queue)
    assert _leads_to(route, tmp_path / "a" / "b")


def test_places_that_are_no_longer_on_the_way_are_watched_no_longer(
    queue: inotify.Inotify, place: Path
) -> None:
    route = routes.Route(str(place), queue)
    os.close(route.walk())
    link = place.parent
    link.unlink()
    link.symlink_to(link.parent)
    queue.read()
    with pytest.raises(FileNotFoundError):
        route.walk()
    (link.parent / "real" / "mid" / "end").rmdir()
    assert all(mask & inotify.IGNORED for _, mask, _ in queue.read())


def test_without_a_queue_the_walk_is_the_same_and_says_it_is_blind(place: Path) -> None:
    route = routes.Route(str(place), None)
    assert _leads_to(route, place)
    assert route.unwatched is not None


def test_spent_descriptors_are_no_answer_and_keep_the_watches(
    queue: inotify.Inotify, place: Path
) -> None:
    route = routes.Route(str(place), queue)
    os.close(route.walk())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files") as raised:
            route.walk()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert inotify.is_spent(raised.value)
    place.rmdir()
    assert _concerned(route, queue)
