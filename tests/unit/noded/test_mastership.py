"""Ganeti's own master daemons, where those are what is installed."""

from pathlib import Path

import pytest

from pyganeti.base import errors, paths
from pyganeti.noded import mastership


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("ganeti-luxid", "ganeti-wconfd"):
        (commands / name).write_text("#!/bin/sh\nexit 1\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    monkeypatch.setattr("sys.argv", [str(tmp_path / "elsewhere/ganeti-noded")])
    return commands


def _util(place: Path, text: str) -> Path:
    util = place / "daemon-util"
    util.write_text(f"#!/bin/sh\n{text}\n")
    util.chmod(0o755)
    return util


@pytest.mark.parametrize(("no_voting", "flags"), [(True, "--no-voting --yes-do-it"), (False, "")])
async def test_they_are_started_as_the_site_does(
    no_voting: bool,  # noqa: FBT001 - an example
    flags: str,
    commands: Path,
    tmp_path: Path,
) -> None:
    said = tmp_path / "said"
    util = _util(tmp_path, f'echo "$1/$EXTRA_LUXID_ARGS/$EXTRA_WCONFD_ARGS" >{said}')
    await mastership.begin(paths.Paths(tmp_path), no_voting=no_voting, util=util)
    assert said.read_text() == f"start-master/{flags}/{flags}\n"


async def test_what_keeps_them_from_starting_is_told(commands: Path, tmp_path: Path) -> None:
    util = _util(tmp_path, "echo no majority >&2; exit 1")
    with pytest.raises(errors.Unavailable, match=r"Can't start Ganeti master: no majority"):
        await mastership.begin(paths.Paths(tmp_path), no_voting=False, util=util)
    with pytest.raises(errors.Unavailable, match="nowhere: No such file"):
        await mastership.begin(paths.Paths(tmp_path), no_voting=False, util=tmp_path / "nowhere")


async def test_half_of_them_is_nothing(commands: Path, tmp_path: Path) -> None:
    (commands / "ganeti-wconfd").unlink()
    with pytest.raises(errors.Unavailable, match="ganeti-masterd is not installed"):
        await mastership.begin(paths.Paths(tmp_path), no_voting=False)


async def test_a_master_daemon_that_only_came_along_does_not_take_their_place(
    commands: Path, tmp_path: Path
) -> None:
    """It is in the node daemon's package, but nobody put it on the path."""
    ours = _daemon(tmp_path / "elsewhere")
    util = _util(tmp_path, "echo theirs; exit 1")
    with pytest.raises(errors.Unavailable, match="theirs"):
        await mastership.begin(paths.Paths(tmp_path), no_voting=False, util=util)
    ours.rename(commands / ours.name)
    with pytest.raises(errors.Unavailable, match="master: ours"):
        await mastership.begin(paths.Paths(tmp_path), no_voting=False, util=util)


async def test_one_that_came_along_is_better_than_none(commands: Path, tmp_path: Path) -> None:
    (commands / "ganeti-luxid").unlink()
    _daemon(tmp_path / "elsewhere")
    with pytest.raises(errors.Unavailable, match="master: ours"):
        await mastership.begin(paths.Paths(tmp_path), no_voting=False)


def _daemon(place: Path) -> Path:
    """Put a master daemon there that says who it is and does not start."""
    place.mkdir()
    daemon = place / "ganeti-masterd"
    daemon.write_text("#!/bin/sh\necho ours; exit 1\n")
    daemon.chmod(0o755)
    return daemon
