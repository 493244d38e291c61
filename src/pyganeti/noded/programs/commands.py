"""Runs restricted commands, and programs that reach a node out of band (its power supply, say).

Restricted commands are those that the site allows a master to run on every node: files in
``restricted-commands``, which root alone may have written, run without arguments and with an empty
environment. A name that is none of them fails after ten seconds, and without saying why, so that
guessing is slow and tells nothing; the log knows. No such folder: there are none.
"""

import asyncio
import os
import stat
from pathlib import Path
from typing import Any, Final

import msgspec

from pyganeti.base import errors, log, paths, runner, siteprograms

FOLDER: Final = "restricted-commands"
DELAY: Final = 10.0
TIMEOUT: Final = 3600.0
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH
_SPECIAL: Final = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_OUTPUT_LIMIT: Final = 1024 * 1024
_LONGEST_OUT_OF_BAND: Final = 3600.0
_ROOT: Final = (0, 0)
_LOG: Final = log.get(__name__)


async def run_restricted(layout: paths.Paths, name: str, *, delay: float = DELAY) -> str:
    """Return what a restricted command says; raises Denied or Unavailable."""
    folder = layout.config_dir / FOLDER
    try:
        finished = await runner.run(
            [_allowed(folder, name)],
            environment={},
            timeout=TIMEOUT,
            output_limit=_OUTPUT_LIMIT,
        )
    except (errors.Failure, OSError) as error:
        _LOG.error("a restricted command is refused", command=name, why=str(error))
        await asyncio.sleep(delay)
        raise errors.Denied(f"Executing command '{name}' failed") from error
    said = finished.output.decode(errors="backslashreplace")
    why = siteprograms.reason(finished)
    if why is not None:
        raise errors.Unavailable(f"Restricted command '{name}' failed: {why}; output: {said}")
    return said


async def run_out_of_band(program: str, command: str, node: str, timeout: float) -> Any:  # noqa: ANN401 - JSON
    """Return what an out-of-band program answers, from its JSON, None if it says nothing.

    Raises BadInput, Unavailable, or Damaged if it says something else.
    """
    path = Path(program)
    if not path.is_absolute() or not siteprograms.is_runnable(path):
        raise errors.BadInput(f"{program!r} is not the absolute path of a program")
    if not 0 < timeout <= _LONGEST_OUT_OF_BAND:
        raise errors.BadInput(f"{timeout} s is no time to wait for a program")
    try:
        finished = await runner.run(
            [path, command, node],
            environment={"PATH": siteprograms.PATH},
            timeout=timeout,
            output_limit=_OUTPUT_LIMIT,
            separate=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a null byte in an argument
        raise errors.Unavailable(f"'{program}' cannot be run: {error}") from error
    why = siteprograms.reason(finished)
    if why is not None:
        said = (finished.output + finished.complaints).decode(errors="backslashreplace")
        raise errors.Unavailable(
            f"'{program} {command} {node}' failed with reason '{why}'; output: {said}"
        )
    if not finished.output.strip():
        return None
    try:
        return msgspec.json.decode(finished.output)
    except msgspec.DecodeError as error:
        raise errors.Damaged(
            f"'{program} {command} {node}' did not answer JSON: {error}"
        ) from error


def _allowed(folder: Path, name: str) -> Path:
    """Return a restricted command's path; raises Denied or OSError if it is none."""
    if not siteprograms.is_name(name):
        raise errors.Denied(f"{name!r} is not the name of a command")
    _check_owner(folder)
    if not folder.is_dir():
        raise errors.Denied(f"{folder} is not a folder")
    path = folder / name
    _check_owner(path)
    if not siteprograms.is_runnable(path):
        raise errors.Denied(f"{path} may not be executed")
    return path


def _check_owner(path: Path) -> None:
    status = os.stat(path)  # noqa: PTH116 - its owner and its mode
    if stat.S_IMODE(status.st_mode) & (_WRITABLE | _SPECIAL):
        raise errors.Denied(f"{path}: others may write to it, or it changes who runs it")
    if (status.st_uid, status.st_gid) != _ROOT:
        raise errors.Denied(f"{path} does not belong to root")
