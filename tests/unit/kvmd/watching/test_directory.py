"""A directory followed by its path: what the listener is told when this or that happens to it.

Ticks are an hour here unless a test says otherwise: the events alone must do. Mounts and spent
limits are in tests/integration.
"""

import asyncio
import errno
import fcntl
import os
import resource
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from lab import listening
from pyganeti.kvmd.watching import directory as directories

HOUR = 3600.0
QUEUE_LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")


@pytest.fixture
def believer() -> Iterator[listening.Believer]:
    one = listening.Believer()
    yield one
    assert one.faults == []


def _open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


Follow = Callable[..., directories.Directory]


@pytest.fixture
async def follow(believer: listening.Believer) -> AsyncIterator[Follow]:
    made: list[directories.Directory] = []
    before = _open_descriptors()

    def start(path: Path, *, tick: float = HOUR, **more: tuple[str, ...]) -> directories.Directory:
        loop = asyncio.get_running_loop()
        made.append(directories.Directory(path, believer, loop=loop, tick=tick, **more))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.close()
        one.close()
    assert _open_descriptors() == before


async def test_what_is_there_is_told_and_then_what_comes_and_goes(
    follow: Follow, believer: listening.Believer, tmp_path: Path
) -> None:
    (tmp_path / "old").touch()
    directory = follow(tmp_path)
    assert directory.is_open
    assert believer.dirfd == directory.fd
    await listening.until(lambda: believer.rescans == 1)
    (tmp_path / "new").touch()
    (tmp_path / "old").unlink()
    await listening.until(lambda: believer.names == {"new"})
    (tmp_path / "new").rename(tmp_path / "renamed")
    await listening.until(lambda: believer.names == {"renamed"})
    assert believer.told[:3] == [("opened", ""), ("appeared", "old"), ("rescan", "")]


async def test_the_descriptor_can_be_locked_and_looked_through(
    follow: Follow, tmp_path: Path
) -> None:
    directory = follow(tmp_path)
    fcntl.flock(directory.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    (tmp_path / "one").touch()
    assert os.listdir(directory.fd) == ["one"]  # noqa: PTH208 - by descriptor


async def test_only_names_with_a_wanted_ending_are_told(
    follow: Follow, believer: listening.Believer, tmp_path: Path
) -> None:
    (tmp_path / "a.kvmd").touch()
    (tmp_path / "a.qmp").touch()
    follow(tmp_path, suffixes=(".kvmd", ".mon"))
    (tmp_path / "b.shutdown").touch()
    (tmp_path / "b.mon").touch()
    await listening.until(lambda: believer.names == {"a.kvmd", "b.mon"} and believer.rescans == 1)
    assert {name for _, name in believer.told} == {"", "a.kvmd", "b.mon"}


@pytest.mark.parametrize("name", [b"\xff\xfe", "bücher 猫".encode(), b"new\nline", b"n" * 255])
async def test_odd_names_are_told_alike_by_scan_and_by_event(
    follow: Follow, believer: listening.Believer, tmp_path: Path, name: bytes
) -> None:
    path = tmp_path / os.fsdecode(name)
    path.touch()
    follow(tmp_path)
    await listening.until(lambda: believer.rescans == 1)
    assert believer.names == {os.fsdecode(name)}
    path.unlink()
    await listening.until(lambda: not believer.names)
    path.touch()
    await listening.until(lambda: believer.names == {os.fsdecode(name)})


async def test_a_name_put_in_the_place_of_another_is_told_again(
    follow: Follow, believer: listening.Believer, tmp_path: Path
) -> None:
    (tmp_path / "a").touch()
    follow(tmp_path)
    await listening.until(lambda: believer.rescans == 1)
    believer.told.clear()
    (tmp_path.parent / "other").touch()
    (tmp_path.parent / "other").rename(tmp_path / "a")
    await listening.until(lambda: bool(believer.told))
    assert believer.told == [("appeared", "a")]


async def test_a_name_removed_and_made_again_at_once_is_told_as_both(
    follow: Follow, believer: listening.Believer, tmp_path: Path
) -> None:
    (tmp_path / "a").touch()
    follow(tmp_path)
    await listening.until(lambda: believer.rescans == 1)
    believer.told.clear()
    (tmp_path / "a").unlink()
    (tmp_path / "a").touch()
    await listening.until(lambda: len(believer.told) == 2)
    assert believer.told == [("vanished", "a"), ("appeared", "a")]


@pytest.mark.parametrize("depth", [0, 1, 3])
async def test_a_missing_directory_is_found_when_it_comes_with_everything_in_it(
    follow: Follow, believer: listening.Believer, tmp_path: Path, depth: int
) -> None:
    path = tmp_path.joinpath(*"abcd"[: depth + 1])
    directory = follow(path)
    assert not directory.is_open
    assert directory.trouble == "missing"
    path.mkdir(parents=True)
    (path / "one").touch()
    await listening.until(lambda: believer.names == {"one"})
    assert directory.trouble == ""


@pytest.mark.parametrize("levels", [0, 1, 2])
async def test_a_directory_deleted_with_its_parents_and_made_again_is_found(
    follow: Follow, believer: listening.Believer, tmp_path: Path, levels: int
) -> None:
    path = tmp_path / "a" / "b" / "c"
    path.mkdir(parents=True)
    follow(path)
    for turn in range(3):
        believer.rescans = 0
        (path / f"in{turn}").touch()
        await listening.until(lambda turn=turn: believer.names == {f"in{turn}"})  # type: ignore[misc]
        (path / f"in{turn}").unlink()
        for level in range(levels + 1):
            [path, *path.parents][level].rmdir()
        if turn % 2:
            await listening.until(lambda: believer.dirfd == -1)
        path.mkdir(parents=True)
    await listening.until(lambda: believer.dirfd >= 0)


@pytest.mark.parametrize("parent", [0, 1, 2])
async def test_a_directory_renamed_away_is_lost_and_found_when_it_returns(
    follow: Follow, believer: listening.Believer, tmp_path: Path, parent: int
) -> None:
    path = tmp_path / "a" / "b" / "c"
    path.mkdir(parents=True)
    (path / "one").touch()
    directory = follow(path)
    await listening.until(lambda: believer.names == {"one"})
    moved = [path, *path.parents][parent]
    away = tmp_path / "away"
    moved.rename(away)
    await listening.until(lambda: believer.dirfd == -1)
    assert directory.fd == -1
    away.rename(moved)
    (path / "two").touch()
    await listening.until(lambda: believer.names == {"one", "two"})


async def test_a_directory_renamed_away_with_another_in_its_place_is_the_other(
    follow: Follow, believer: listening.Believer, tmp_path: Path
) -> None:
    path = tmp_path / "ctrl"
    path.mkdir()
    (path / "one").touch()
    follow(path)
    await listening.until(lambda: believer.names == {"one"})
    path.rename(tmp_path / "away")
    path.mkdir()
    (path / "two").touch()
    (tmp_path / "away" / "three").touch()
    await listening.until(lambda: believer.names == {"two"})
    assert (believer.opened, believer.lost) == (2, 1)
    (path / "four").touch()
    await listening.until(lambda: believer.names == {"two", "four"})


async def test_a_link_set_elsewhere_is_followed(
    follow: Follow, believer: listening.Believer, tmp_path: Path
) -> None:
    for name in ("red", "blue"):
        (tmp_path / name / "ctrl").mkdir(parents=True)
        (tmp_path / name / "ctrl" / name).touch()
    link = tmp_path / "link"
    link.symlink_to("red")
    follow(link / "ctrl")
    await listening.until(lambda: believer.names == {"red"})
    (tmp_path / "new").symlink_to(tmp_path / "blue")
    (tmp_path / "new").rename(link)
    await listening.until(lambda: believer.names == {"blue"})
    link.unlink()
    await listening.until(lambda: believer.dirfd == -1)


OBSTACLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda path: path.touch(), "not a directory"),
    "a fifo": (os.mkfifo, "not a directory"),
    "a loop of links": (lambda path: path.symlink_to(path), "too many links"),
    "a dangling link": (lambda path: path.symlink_to("nowhere"), "missing"),
    "a long link": (lambda path: path.symlink_to("n" * 300), os.strerror(errno.ENAMETOOLONG)),
}


@pytest.mark.parametrize(("make", "trouble"), OBSTACLES.values(), ids=OBSTACLES.keys())
@pytest.mark.parametrize("tail", ["", "below"])
async def test_an_obstacle_on_the_way_is_named_and_its_removal_noticed(
    follow: Follow,
    believer: listening.Believer,
    tmp_path: Path,
    make: Callable[[Path], object],
    trouble: str,
    tail: str,
) -> None:
    obstacle = tmp_path / "x"
    make(obstacle)
    directory = follow(obstacle / tail)
    assert directory.trouble == trouble
    obstacle.unlink()
    (obstacle / tail).mkdir(parents=True)
    (obstacle / tail / "one").touch()
    await listening.until(lambda: believer.names == {"one"})
    assert (directory.trouble, believer.opened) == ("", 1)


async def test_a_flood_in_a_parent_changes_nothing(
    follow: Follow, believer: listening.Believer, tmp_path: Path
) -> None:
    path = tmp_path / "ctrl"
    path.mkdir()
    directory = follow(path)
    for number in range(8500):  # makes the queue of the way there overflow
        os.mknod(tmp_path / f"noise{number}")
        (tmp_path / f"noise{number}").unlink()
    (path / "one").touch()
    await listening.until(lambda: believer.names == {"one"})
    (path / "two").touch()
    await listening.until(lambda: believer.names == {"one", "two"})
    assert (believer.opened, directory.overflows) == (1, 0)
    assert directory.walks < 10


async def test_fifty_thousand_names_come_in_slices_and_the_loop_goes_on(
    follow: Follow, believer: listening.Believer, tmp_path: Path
) -> None:
    for number in range(50_000):
        os.mknod(tmp_path / f"{number}.kvmd")
    stalls = _Stalls()
    stalls.start()
    directory = follow(tmp_path, suffixes=(".kvmd",))
    await listening.until(lambda: believer.rescans == 1)
    stalls.stop()
    assert len(directory.names) == 50_000
    assert believer.names == directory.names
    assert len(stalls.turns) > 10
    assert sorted(stalls.turns)[len(stalls.turns) // 2] < 0.02


async def test_events_lost_to_an_overflow_are_made_up_for(
    follow: Follow, believer: listening.Believer, tmp_path: Path
) -> None:
    most = int(QUEUE_LIMIT.read_text())  # noqa: ASYNC240 - does not block
    if most > 100_000:
        pytest.skip(f"fs.inotify.max_queued_events is {most}: too many files")
    for name in ("stays", "goes"):
        (tmp_path / name).touch()
    directory = follow(tmp_path)
    await listening.until(lambda: believer.rescans == 1)
    for number in range(most + 100):  # the loop does not run meanwhile
        os.mknod(tmp_path / str(number))
    (tmp_path / "goes").unlink()
    os.mknod(tmp_path / "last")
    await listening.until(lambda: directory.overflows == 1 and believer.rescans == 2)
    assert believer.names == {"stays", "last", *map(str, range(most + 100))}
    os.mknod(tmp_path / "after")
    await listening.until(lambda: "after" in believer.names)


async def test_a_listener_that_fails_does_not_keep_the_rest_from_being_told(
    follow: Follow,
    believer: listening.Believer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    appeared = believer.on_appeared

    def fail_once(name: str) -> None:
        appeared(name)
        if name == "bad":
            raise ValueError(name)

    monkeypatch.setattr(believer, "on_appeared", fail_once)
    (tmp_path / "bad").touch()
    (tmp_path / "good").touch()
    follow(tmp_path)
    await listening.until(lambda: believer.rescans == 1)
    assert believer.names == {"bad", "good"}


@pytest.mark.parametrize("where", ["on_opened", "on_lost", "on_appeared", "on_rescan"])
async def test_it_can_be_closed_from_within_any_call(
    believer: listening.Believer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    before = _open_descriptors()
    path = tmp_path / "ctrl"
    path.mkdir()
    (path / "one").touch()
    loop = asyncio.get_running_loop()
    directory = directories.Directory(path, believer, loop=loop, tick=HOUR)
    closed: list[str] = []

    def close(*_: object) -> None:
        directory.close()
        closed.append(where)

    monkeypatch.setattr(believer, where, close)
    directory.start()
    if where == "on_lost":
        path.rename(tmp_path / "away")
        path.mkdir()
    await listening.until(lambda: closed == [where])
    assert _open_descriptors() == before


async def test_spent_descriptors_lose_nothing_and_are_waited_out(
    follow: Follow, believer: listening.Believer, tmp_path: Path
) -> None:
    path = tmp_path / "ctrl"
    path.mkdir()
    directory = follow(path, tick=0.01)
    await listening.until(lambda: believer.rescans == 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        os.mknod(path / "one")  # which takes no descriptor
        directory.rescan()
        path.chmod(0o700)
        await listening.until(lambda: directory.trouble == os.strerror(errno.EMFILE))
        await listening.until(lambda: believer.names == {"one"})
        assert (believer.opened, believer.lost, believer.rescans) == (1, 0, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await listening.until(lambda: believer.rescans == 2)
    path.chmod(0o755)
    await listening.until(lambda: directory.trouble == "")
    assert believer.lost == 0


async def test_without_descriptors_at_the_start_it_begins_when_there_are_some(
    follow: Follow, believer: listening.Believer, tmp_path: Path
) -> None:
    (tmp_path / "one").touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        directory = follow(tmp_path, tick=0.01)
        assert directory.trouble == os.strerror(errno.EMFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await listening.until(lambda: believer.names == {"one"} and not directory.is_polling)
    os.mknod(tmp_path / "two")
    await listening.until(lambda: believer.names == {"one", "two"})


async def test_a_quiet_directory_is_neither_scanned_nor_walked_to_again(
    follow: Follow, believer: listening.Believer, tmp_path: Path
) -> None:
    directory = follow(tmp_path, tick=0.001)
    loop = asyncio.get_running_loop()
    ends = loop.time() + 0.2
    await listening.until(lambda: loop.time() > ends)
    assert (directory.rescans, directory.walks) == (1, 1)


class _Stalls:
    """How long each turn of the loop takes, in seconds."""

    def __init__(self) -> None:
        self.turns: list[float] = []
        self._last = 0.0
        self._handle: asyncio.Handle | None = None

    def start(self) -> None:
        self._last = time.perf_counter()
        self._handle = asyncio.get_running_loop().call_soon(self._turn)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _turn(self) -> None:
        now = time.perf_counter()
        self.turns.append(now - self._last)
        self._last = now
        self._handle = asyncio.get_running_loop().call_soon(self._turn)
