"""Runs the site's programs of one folder, in the manner of run-parts: hooks of every kind.

Every file in the order of the names, one after the other. Hidden ones are passed over; those whose
name has other than letters, digits, ``_`` and ``-``, and those that may not be executed, are told
as skipped. Each runs for a bounded time, in exactly the environment given. One that fails is told
with its output, and the next one runs all the same. Without a folder there is nothing to run.
"""

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pyganeti.base import errors, log, runner, siteprograms

_OUTPUT_LIMIT: Final = 64 * 1024
_SHOWN: Final = 400
_LOG: Final = log.get(__name__)


class Outcome(enum.IntEnum):
    """How a program ended, as Ganeti numbers it."""

    SKIPPED = 0
    FAILED = 1
    SUCCEEDED = 2


Told = tuple[str, Outcome, str]
"""A program's name, its outcome, and what it said."""


async def run(
    folder: Path, environment: Mapping[str, str], timeout: float, *, stdin: bytes = b""
) -> list[Told]:
    """Run the programs of a folder, in ``timeout`` seconds each; return what became of them.

    Each finds ``stdin`` as its input.
    """
    return [
        (name, *await _run(folder / name, environment, timeout, stdin)) for name in _listed(folder)
    ]


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        _LOG.warning("hooks cannot be listed", folder=str(folder), error=str(error))
        return []


async def _run(
    path: Path, environment: Mapping[str, str], timeout: float, stdin: bytes
) -> tuple[Outcome, str]:
    if not siteprograms.is_name(path.name) or not siteprograms.is_runnable(path):
        return Outcome.SKIPPED, ""
    try:
        finished = await runner.run(
            [path],
            environment=environment,
            timeout=timeout,
            stdin=stdin,
            output_limit=_OUTPUT_LIMIT,
        )
    except (OSError, errors.Exhausted) as error:
        _LOG.warning("a hook cannot be started", hook=str(path), error=str(error))
        return Outcome.FAILED, f"Hook script execution error: {error}"
    said = finished.output.decode(errors="backslashreplace").strip()
    why = siteprograms.reason(finished)
    if why is None:
        return Outcome.SUCCEEDED, said
    _LOG.warning("a hook failed", hook=str(path), why=why, output=said[:_SHOWN])
    return Outcome.FAILED, f"{said}\n({why})".strip() if finished.timed_out else said
