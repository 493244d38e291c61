"""Units of systemd, by a systemctl that records what it is told: no test's machine runs systemd."""

from pathlib import Path

import pytest

from pyganeti.base import errors, paths, units

_SYSTEMCTL = """#!/bin/sh
echo "$@" >>{told}
case "$1 $4" in
  "show ganeti-masterd.service") echo loaded;;
  "show "*) echo not-found;;
  "start "*) cat {once} >>{told} 2>/dev/null; [ "$2" = ganeti-masterd.service ] || exit 5;;
esac
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    told = tmp_path / "told"
    command = tmp_path / "bin/systemctl"
    command.parent.mkdir()
    command.write_text(_SYSTEMCTL.format(told=told, once=tmp_path / "once"))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")
    return told


def _said(told: Path) -> str:
    return told.read_text()


def _forget(told: Path) -> None:
    told.unlink()


def _is_there(path: Path) -> bool:
    return path.exists()


async def test_a_unit_is_asked_for_where_systemd_runs(told: Path, tmp_path: Path) -> None:
    machine = paths.Paths()
    assert await units.has(machine, "ganeti-masterd", runs=tmp_path)
    assert not await units.has(machine, "ganeti-other", runs=tmp_path)
    asked = _said(told)
    assert not await units.has(machine, "ganeti-masterd", runs=tmp_path / "nowhere")
    assert not await units.has(paths.Paths(tmp_path), "ganeti-masterd", runs=tmp_path)
    assert _said(told) == asked


async def test_flags_for_one_start_are_there_for_that_alone(told: Path, tmp_path: Path) -> None:
    once = tmp_path / "once"
    ended = await units.start("ganeti-masterd", ["--no-voting", "--yes"], once, patience=20)
    assert ended.status == 0
    assert _said(told) == 'start ganeti-masterd.service\nONETIME_ARGS="--no-voting --yes"\n'
    assert not _is_there(once)
    _forget(told)
    assert (await units.start("ganeti-masterd", [], once, patience=20)).status == 0
    assert _said(told) == "start ganeti-masterd.service\n"


async def test_a_unit_is_started_anew(told: Path) -> None:
    assert (await units.restart("ganeti-masterd", patience=20)).status == 0
    assert _said(told) == "restart ganeti-masterd.service\n"


async def test_a_start_that_fails_leaves_no_flags(told: Path, tmp_path: Path) -> None:
    once = tmp_path / "once"
    assert (await units.start("ganeti-other", ["-x"], once, patience=20)).status == 5
    assert not _is_there(once)
    with pytest.raises(errors.Unavailable, match="No such file"):
        await units.start("ganeti-masterd", ["-x"], tmp_path / "nowhere/once", patience=20)
