from pathlib import Path

from pyganeti.base import runparts

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "GREETING": "hello"}


def _program(folder: Path, name: str, body: str, mode: int = 0o755) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(mode)


async def test_programs_run_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    _program(folder, "20-second", 'echo "$GREETING, $HOME"')
    _program(folder, "10-first", "echo oops; exit 3")
    _program(folder, "30-not-executable", "exit 1", 0o644)
    _program(folder, "40.name", "exit 1")
    _program(folder, ".hidden", "exit 1")

    assert await runparts.run(folder, _ENVIRONMENT, 20) == [
        ("10-first", runparts.Outcome.FAILED, "oops"),
        ("20-second", runparts.Outcome.SUCCEEDED, "hello,"),
        ("30-not-executable", runparts.Outcome.SKIPPED, ""),
        ("40.name", runparts.Outcome.SKIPPED, ""),
    ]


async def test_one_that_does_not_end_is_killed_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    _program(folder, "hangs", "echo so far; sleep 60")

    [(_, outcome, said)] = await runparts.run(folder, _ENVIRONMENT, 0.3)

    assert outcome is runparts.Outcome.FAILED
    assert said.startswith("so far\n(killed after")


async def test_without_a_folder_there_is_nothing_to_run(tmp_path: Path) -> None:
    assert await runparts.run(tmp_path / "none", _ENVIRONMENT, 20) == []
