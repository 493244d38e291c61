"""What happens to a followed directory that a test process must not do to itself: a child's part.

Run by test_directory.py as `python -m tests.integration.directory_scenarios SCENARIO PATH`, in
namespaces of its own where the scenario mounts or spends limits. Ends with 0 if all went well.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from lab import listening
from pyganeti.base import log
from pyganeti.kvmd.watching import directory as directories

HOUR = 3600.0
NOBODY = 65534


@contextlib.contextmanager
def _following(
    path: Path, tick: float = HOUR
) -> Iterator[tuple[directories.Directory, listening.Believer]]:
    believer = listening.Believer()
    loop = asyncio.get_running_loop()
    directory = directories.Directory(path, believer, loop=loop, tick=tick)
    directory.start()
    try:
        yield directory, believer
    finally:
        directory.close()
    assert believer.faults == []


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def _mount_tmpfs(path: Path) -> None:
    _mount("-t", "tmpfs", "-o", "size=1m", "none", path)


def _unmount(path: Path) -> None:
    subprocess.run(["umount", "--lazy", str(path)], check=True)


async def _knows(believer: listening.Believer, *names: str) -> None:
    await listening.until(lambda: believer.dirfd >= 0 and believer.names == set(names))


async def mounted_over(top: Path) -> None:
    """Mount over the directory itself and unmount, several times."""
    ctrl = top / "ctrl"
    ctrl.mkdir()
    (ctrl / "under").touch()
    with _following(ctrl) as (_, believer):
        await _knows(believer, "under")
        for turn in range(5):
            _mount_tmpfs(ctrl)
            await _knows(believer)
            (ctrl / f"over{turn}").touch()
            await _knows(believer, f"over{turn}")
            _unmount(ctrl)
            await _knows(believer, "under")
        (ctrl / "after").touch()
        await _knows(believer, "under", "after")


async def parent_mounted_over(top: Path) -> None:
    """Mount over a parent, make the directory there, and unmount."""
    parent = top / "parent"
    ctrl = parent / "mid" / "ctrl"
    ctrl.mkdir(parents=True)
    (ctrl / "under").touch()
    with _following(ctrl) as (_, believer):
        await _knows(believer, "under")
        for _ in range(3):
            _mount_tmpfs(parent)
            await listening.until(lambda: believer.dirfd == -1)
            ctrl.mkdir(parents=True)
            (ctrl / "over").touch()
            await _knows(believer, "over")
            _unmount(parent)
            await _knows(believer, "under")


async def appears_by_mount(top: Path) -> None:
    """Mount, where nothing was, a tree in which the directory already is."""
    (top / "source" / "mid" / "ctrl").mkdir(parents=True)
    (top / "source" / "mid" / "ctrl" / "one").touch()
    (top / "parent").mkdir()
    with _following(top / "parent" / "mid" / "ctrl") as (directory, believer):
        assert directory.trouble == "missing"
        _mount("--bind", top / "source", top / "parent")
        await _knows(believer, "one")
        _unmount(top / "parent")
        await listening.until(lambda: directory.trouble == "missing")


async def storm_of_mounts(top: Path) -> None:
    """Mount and unmount as fast as can be, a link set elsewhere in between."""
    for name in ("red", "blue"):
        (top / name).mkdir()
        (top / name / name).touch()
    (top / "ctrl").symlink_to("red")
    with _following(top / "ctrl") as (_, believer):
        for turn in range(20):
            _mount_tmpfs(top / "red")
            (top / "new").symlink_to(("red", "blue")[turn % 2])
            (top / "new").rename(top / "ctrl")
            if turn % 3:
                _unmount(top / "red")
            await asyncio.sleep(0)
        for _ in range(7):
            _unmount(top / "red")
        await _knows(believer, "blue")
        (top / "new").symlink_to("red")
        (top / "new").rename(top / "ctrl")
        await _knows(believer, "red")


async def no_instances(top: Path) -> None:
    """Begin without one inotify instance to be had; later there are some."""
    await _limit_spent(top, "max_inotify_instances", "0")


async def no_watches(top: Path) -> None:
    """Begin with too few inotify watches; later there are enough."""
    await _limit_spent(top, "max_inotify_watches", "1")


async def watches_run_out(top: Path) -> None:
    """Have the watches taken away while the directory is made anew."""
    await _limit_spent(top, "max_inotify_watches", "1", begin_well=True)


async def _limit_spent(top: Path, name: str, few: str, *, begin_well: bool = False) -> None:
    limit = Path("/proc/sys/user") / name
    many = limit.read_text()
    ctrl = top / "ctrl"
    ctrl.mkdir()
    (ctrl / "one").touch()
    if not begin_well:
        limit.write_text(few)
    with _following(ctrl, tick=0.02) as (directory, believer):
        await _knows(believer, "one")
        if begin_well:
            assert not directory.is_polling
            limit.write_text(few)
            ctrl.rename(top / "away")
            ctrl.mkdir()
            (ctrl / "one").touch()
            await listening.until(lambda: directory.is_polling)
        assert directory.is_polling
        (ctrl / "two").touch()
        await _knows(believer, "one", "two")
        ctrl.rename(top / "gone")
        await listening.until(lambda: believer.dirfd == -1)
        ctrl.mkdir()
        (ctrl / "three").touch()
        await _knows(believer, "three")
        limit.write_text(many)
        await listening.until(lambda: not directory.is_polling)
        (ctrl / "four").touch()
        await _knows(believer, "three", "four")
    with _following(ctrl) as (directory, believer):
        assert not directory.is_polling


async def denied(top: Path) -> None:
    """Be a plain user who may not read the directory, or not go there; later he may."""
    ctrl = top / "mid" / "ctrl"
    ctrl.mkdir(parents=True)
    (ctrl / "one").touch()
    for place, rights in ((ctrl, 0o000), (ctrl, 0o111), (ctrl.parent, 0o600)):
        place.chmod(rights)
        with _following(ctrl) as (directory, believer):
            assert directory.trouble == "denied"
            place.chmod(0o700)
            await _knows(believer, "one")
            ctrl.chmod(0o000)  # what is open stays open
            ctrl.chmod(0o700)
            ctrl.parent.chmod(0o000)
            await listening.until(lambda: directory.trouble == "denied")
            ctrl.parent.chmod(0o700)
            await _knows(believer, "one")


async def unreadable_parent(top: Path) -> None:
    """Be a plain user who may go through a parent but not watch it."""
    ctrl = top / "mid" / "ctrl"
    ctrl.mkdir(parents=True)
    ctrl.parent.chmod(0o300)
    with _following(ctrl) as (directory, believer):
        assert directory.is_polling
        (ctrl / "one").touch()
        await _knows(believer, "one")
        ctrl.rename(ctrl.with_name("away"))  # seen by the directory itself
        await listening.until(lambda: believer.dirfd == -1)
    with _following(ctrl, tick=0.02) as (directory, believer):
        assert directory.trouble == "missing"
        ctrl.with_name("away").rename(ctrl)
        await _knows(believer, "one")
    ctrl.parent.chmod(0o700)


PLAIN = (denied, unreadable_parent)
SCENARIOS: dict[str, Callable[[Path], Awaitable[None]]] = {
    one.__name__: one
    for one in (
        mounted_over,
        parent_mounted_over,
        appears_by_mount,
        storm_of_mounts,
        no_instances,
        no_watches,
        watches_run_out,
        *PLAIN,
    )
}


async def _main(name: str, top: Path) -> None:
    scenario = SCENARIOS[name]
    if scenario in PLAIN and os.geteuid() == 0:
        os.chown(top, NOBODY, NOBODY)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    async with asyncio.timeout(40):
        await scenario(top)


if __name__ == "__main__":
    log.configure(program="scenario", foreground=True, debug=True, syslog="no", file=None)
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2])))
