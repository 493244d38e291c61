"""Runs the scripts of OS definitions: in their folder, within a time, with a log that stays.

What `create` and `rename` say goes to a file of its own below the logs (``os/KIND-OS-INSTANCE-…``),
which an administrator can follow while it runs; a failure tells the end of it.

A script that works on an instance's disks dies with the daemon, by the kernel's hand; what it has
started may go on for a while. So before the next one works on that instance, what is left of those
of a daemon that is gone is ended: no two ever write to one disk.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pyganeti.base import descent, errors, files, log, processes, runner, siteprograms
from pyganeti.noded.oses import definition as definitions

CREATE_TIMEOUT: Final = 86400.0
"""Seconds: a master waits a day for an installation."""

RENAME_TIMEOUT: Final = 3600.0
VERIFY_TIMEOUT: Final = 55.0

_MARK: Final = "GANETI_OS_SCRIPT"
_TIED: Final = ("setpriv", "--pdeathsig", "KILL", "--")
_TAIL: Final = 20
_TAIL_BYTES: Final = 16 * 1024
_FOLDER_MODE: Final = 0o750
_FILE_MODE: Final = 0o640
_LOG: Final = log.get(__name__)


async def run_logged(
    definition: definitions.Definition,
    script: str,
    environment: Mapping[str, str],
    *,
    logs: Path,
    about: str,
    instance: str,
    timeout: float,
) -> None:
    """Run a script with its log in the folder ``logs``; ``about`` becomes part of its name.

    ``instance`` is whose disks it works on, where no other script may be at work.
    Raises Unavailable, with the end of the log, if it fails.
    """
    program = definition.script(script)
    ended = await descent.end(_MARK, lambda mark: _is_orphan(mark, instance))
    if ended:
        _LOG.warning("what a former script had left was ended", instance=instance, pids=ended)
    marked = {**environment, _MARK: _mark(instance)}
    with _opened(logs, about) as (path, fd):
        _LOG.info("an OS script starts", script=str(program), log=str(path))
        finished = await _run([*_TIED, program], definition, marked, timeout=timeout, log=fd)
    why = siteprograms.reason(finished)
    _LOG.info("an OS script ended", script=str(program), why=why, seconds=finished.seconds)
    if why is not None:
        raise errors.Unavailable(
            f"OS {script} script failed ({why}), last lines in the log file {path}:\n{_tail(path)}"
        )


async def verify(
    definition: definitions.Definition, checks: Sequence[str], environment: Mapping[str, str]
) -> None:
    """Have a definition look at its parameters; raises BadInput, with its words, if it objects."""
    program = definition.script("verify")
    finished = await _run(
        [program, *checks], definition, environment, timeout=VERIFY_TIMEOUT, log=None
    )
    why = siteprograms.reason(finished)
    if why is not None:
        said = finished.output.decode(errors="backslashreplace")
        raise errors.BadInput(f"OS validation script failed ({why}), output: {said}")


async def _run(
    arguments: Sequence[str | Path],
    definition: definitions.Definition,
    environment: Mapping[str, str],
    *,
    timeout: float,
    log: int | None,
) -> runner.Finished:
    try:
        return await runner.run(
            arguments,
            environment=environment,
            timeout=timeout,
            directory=str(definition.folder),
            log=log,
        )
    except OSError as error:
        raise errors.Unavailable(f"{arguments[-1]} cannot be run: {error.strerror}") from error


def _mark(instance: str) -> str:
    return f"{instance}:{os.getpid()}.{processes.start_ticks(os.getpid())}"


def _is_orphan(mark: str, instance: str) -> bool:
    """Tell whether that is an instance's script whose daemon is gone."""
    whose, _, daemon = mark.rpartition(":")
    pid, _, began = daemon.partition(".")
    if whose != instance or not pid.isdecimal():
        return False
    return str(processes.start_ticks(int(pid))) != began


@contextlib.contextmanager
def _opened(folder: Path, about: str) -> Iterator[tuple[Path, int]]:
    """Open a new log; what is in its name cannot lead elsewhere."""
    clock = time.strftime("%Y-%m-%d_%H_%M_%S")
    path = folder / f"{about.replace('/', '_')}-{clock}.log"
    try:
        files.make_directories(folder, _FOLDER_MODE)
        fd = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE
        )
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be written: {error.strerror}") from error
    try:
        yield path, fd
    finally:
        os.close(fd)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="backslashreplace").splitlines()
    except OSError as error:
        return f"({error.strerror})"
    return "\n".join(lines[-_TAIL:])
