"""Whatever is done to a directory, to its parents and in it: the right names are known in the end.

On a real file system, with the loop run for a few turns or not at all between two things done, and
with ticks an hour apart: the events alone must lead back.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lab import listening
from pyganeti.kvmd.watching import directory as directories

# The path followed is top/link/mid/ctrl, with link -> real or other, and mid perhaps a link too.
END = "link/mid/ctrl"
ON_THE_WAY = st.sampled_from(("real", "link", "link/mid", END))
PLACES = st.one_of(ON_THE_WAY, st.sampled_from(("other", "other/mid", "aside", "aside/ctrl")))
NAMES = st.sampled_from(("a", "b", "c", "d"))
TARGETS = st.sampled_from(("real", "other", "../other/mid", "ctrl", "../aside", "..", "nowhere"))

Action = tuple[str, ...]

ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.sampled_from(("mkdir", "remove", "recreate", "file")), PLACES),
    st.tuples(st.sampled_from(("away", "back", "there and back")), ON_THE_WAY),
    st.tuples(st.just("rename"), PLACES, PLACES),
    st.tuples(st.just("link"), ON_THE_WAY, TARGETS),
    st.tuples(st.sampled_from(("touch", "unlink", "replace")), st.just(END), NAMES),
    st.tuples(st.just("touch"), PLACES, NAMES),
    st.tuples(st.just("run"), st.sampled_from(("1", "2", "5", "settle"))),
)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _in_full(action: Action) -> list[Action]:
    if action[0] == "there and back":
        return [("away", action[1]), ("run", "settle"), ("back", action[1])]
    return [action]


def _act(top: Path, kind: str, where: str, what: str = "") -> None:
    path = top / where
    aside = top / f"away-{path.name}"
    if kind == "mkdir":
        path.mkdir(parents=True)
    elif kind == "remove":
        _remove(path)
    elif kind == "recreate":
        _remove(path)
        (top / END).mkdir(parents=True)
    elif kind == "away":
        path.rename(aside)
    elif kind == "back":
        aside.rename(path)
    elif kind == "rename":
        path.rename(top / what)
    elif kind == "link":
        if path.is_symlink() or path.exists():
            _remove(path)
        path.symlink_to(what)
    elif kind == "file":
        _remove(path)
        path.touch()
    elif kind == "touch":
        (path / what).touch()
    elif kind == "unlink":
        (path / what).unlink()
    else:
        (top / "fresh").touch()
        (top / "fresh").rename(path / what)


def _names(path: Path) -> set[str] | None:
    try:
        return {entry.name for entry in path.iterdir()}
    except OSError:
        return None


def _is_right(believer: listening.Believer, path: Path, truth: set[str] | None) -> bool:
    if truth is None:
        return believer.dirfd == -1
    if believer.dirfd == -1 or not os.path.samestat(path.stat(), os.fstat(believer.dirfd)):
        return False
    return believer.names == truth


async def _play(top: Path, actions: list[Action]) -> None:
    path = top / END
    believer = listening.Believer()
    directory = directories.Directory(path, believer, loop=asyncio.get_running_loop(), tick=3600.0)
    directory.start()
    try:
        for action in itertools.chain.from_iterable(map(_in_full, actions)):
            if action == ("run", "settle"):
                truth = _names(path)
                await listening.until(lambda: _is_right(believer, path, truth), seconds=3.0)  # noqa: B023
                continue
            if action[0] == "run":
                for _ in range(int(action[1])):
                    await asyncio.sleep(0)
                continue
            try:
                _act(top, *action)
            except OSError:
                continue  # could not be done just now
        truth = _names(path)
        await listening.until(lambda: _is_right(believer, path, truth), seconds=3.0)
        if truth is not None:
            # It is alive: what comes now is told too.
            (path / "proof").touch()
            await listening.until(lambda: "proof" in believer.names, seconds=3.0)
            assert believer.names == truth | {"proof"}
        assert believer.faults == []
        assert directory.overflows == 0
        assert directory.walks <= 6 * len(actions) + 5
    finally:
        directory.close()


@pytest.fixture(scope="module")
def ground() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        yield Path(name)


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(actions=st.lists(ACTIONS, max_size=40), begun=st.sampled_from((True, True, True, False)))
@example(actions=[("remove", END), ("mkdir", END)], begun=True)
@example(actions=[("away", "real"), ("back", "real")], begun=True)
@example(actions=[("link", "link", "other"), ("mkdir", END)], begun=True)
def test_the_right_names_are_known_in_the_end(
    ground: Path, actions: list[Action], *, begun: bool
) -> None:
    with tempfile.TemporaryDirectory(dir=ground) as name:
        top = Path(name)
        if begun:
            (top / "real/mid/ctrl").mkdir(parents=True)
            (top / "other").mkdir()
            (top / "link").symlink_to("real")
        asyncio.run(_play(top, actions))
