"""Restricted and out-of-band commands."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyganeti.base import errors, paths
from pyganeti.noded.programs import commands

Write = Callable[[Path, str], Path]


@pytest.mark.root
async def test_an_allowed_command_runs_with_an_empty_environment(
    layout: paths.Paths, write: Write
) -> None:
    write(layout.config_dir / commands.FOLDER / "uptime", 'echo "$# [$HOME]"; /usr/bin/env >&2')
    said = await commands.run_restricted(layout, "uptime")
    assert said.splitlines()[0] == "0 []"


@pytest.mark.root
async def test_a_failing_command_is_told_with_its_output(layout: paths.Paths, write: Write) -> None:
    write(layout.config_dir / commands.FOLDER / "broken", "echo oh no; exit 3")
    with pytest.raises(errors.Unavailable, match=r"exit code 3; output: oh no"):
        await commands.run_restricted(layout, "broken")


@pytest.mark.root
@pytest.mark.parametrize("name", ["nosuch", "../uptime", "", "up time", "plain", "open", "others"])
async def test_what_is_not_allowed_says_nothing_about_why(
    layout: paths.Paths, write: Write, name: str
) -> None:
    folder = layout.config_dir / commands.FOLDER
    write(folder / "uptime", "exit 0")
    write(folder / "plain", "exit 0").chmod(0o644)
    write(folder / "open", "exit 0").chmod(0o775)
    os.chown(write(folder / "others", "exit 0"), 65534, 65534)
    with pytest.raises(errors.Denied, match=rf"^Executing command '{name}' failed$"):
        await commands.run_restricted(layout, name, delay=0)


@pytest.mark.root
async def test_a_folder_that_others_may_write_to_allows_nothing(
    layout: paths.Paths, write: Write
) -> None:
    write(layout.config_dir / commands.FOLDER / "uptime", "exit 0").parent.chmod(0o777)
    with pytest.raises(errors.Denied):
        await commands.run_restricted(layout, "uptime", delay=0)


async def test_an_out_of_band_program_answers_json(write: Write, tmp_path: Path) -> None:
    program = write(tmp_path / "oob", 'echo noise >&2; echo "{\\"did\\": \\"$1 $2\\"}"')
    answer = await commands.run_out_of_band(str(program), "power-off", "node1", 20)
    assert answer == {"did": "power-off node1"}
    silent = write(tmp_path / "silent", "exit 0")
    assert await commands.run_out_of_band(str(silent), "power-on", "node1", 20) is None


async def test_an_out_of_band_program_that_fails_hangs_or_babbles_is_told(
    write: Write, tmp_path: Path
) -> None:
    program = write(
        tmp_path / "oob", "case $1 in hang) sleep 60;; babble) echo x;; *) exit 2; esac"
    )
    for command, kind, words in (
        ("fail", errors.Unavailable, "exit code 2"),
        ("hang", errors.Unavailable, "killed after"),
        ("babble", errors.Damaged, "did not answer JSON"),
        ("nul\0", errors.Unavailable, "cannot be run"),
    ):
        with pytest.raises(kind, match=words):
            await commands.run_out_of_band(str(program), command, "node1", 0.5)


@pytest.mark.parametrize(("program", "timeout"), [("oob", 5), ("/nosuch", 5), ("/bin/true", 0)])
async def test_out_of_band_is_bounded_and_by_path(program: str, timeout: float) -> None:
    with pytest.raises(errors.BadInput):
        await commands.run_out_of_band(program, "power-on", "node1", timeout)
