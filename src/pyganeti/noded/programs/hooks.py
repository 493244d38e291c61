"""Runs the hooks of one step of an operation: before it (``pre``) or after it (``post``).

In the manner of run-parts: every file of ``hooks/NAME-PHASE.d`` in the order of the names, one
after the other. Those whose name has other than letters, digits, ``_`` and ``-``, and those that
may not be executed, are told as skipped. Each runs for a bounded time, in exactly the environment
that the master sends; one that fails is told with its output, the next one runs all the same, and
what to make of it is the master's business. Without a folder there is nothing to run.
"""

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pyganeti.base import errors, log, paths, runner
from pyganeti.noded.programs import found

TIMEOUT: Final = 300.0
"""Seconds one hook may take: a master waits for so long for all of them."""

PHASES: Final = ("pre", "post")
_OUTPUT_LIMIT: Final = 64 * 1024
_LOG: Final = log.get(__name__)


class Outcome(enum.IntEnum):
    """How a hook ended, as it goes over the wire."""

    SKIPPED = 0
    FAILED = 1
    SUCCEEDED = 2


Told = tuple[str, int, str]
"""A hook's folder and name, its outcome, and what it said."""


async def run(
    layout: paths.Paths,
    name: str,
    phase: str,
    environment: Mapping[str, str],
    *,
    timeout: float = TIMEOUT,
) -> list[Told]:
    """Run the hooks of a step; return what became of each. Raises BadInput for a step of none."""
    if phase not in PHASES:
        raise errors.BadInput(f"Unknown hooks phase {phase!r}")
    if not found.is_name(name):
        raise errors.BadInput(f"{name!r} is not the name of hooks")
    environment = found.checked(dict(environment))
    part = f"{name}-{phase}.d"
    folder = layout.config_dir / "hooks" / part
    told = []
    for hook in _listed(folder):
        outcome, said = await _run(folder / hook, environment, timeout)
        told.append((f"{part}/{hook}", int(outcome), said))
    return told


def failed(told: list[Told]) -> list[Told]:
    """Return those that failed."""
    return [hook for hook in told if hook[1] == Outcome.FAILED]


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        _LOG.warning("hooks cannot be listed", folder=str(folder), error=str(error))
        return []


async def _run(path: Path, environment: Mapping[str, str], timeout: float) -> tuple[Outcome, str]:
    if not found.is_name(path.name) or not found.is_runnable(path):
        return Outcome.SKIPPED, ""
    try:
        finished = await runner.run(
            [path], environment=environment, timeout=timeout, output_limit=_OUTPUT_LIMIT
        )
    except (OSError, errors.Exhausted) as error:
        _LOG.warning("a hook cannot be started", hook=str(path), error=str(error))
        return Outcome.FAILED, f"Hook script execution error: {error}"
    said = finished.output.decode(errors="backslashreplace").strip()
    why = found.reason(finished)
    if why is None:
        return Outcome.SUCCEEDED, said
    _LOG.warning("a hook failed", hook=str(path), why=why, output=said[:400])
    return Outcome.FAILED, f"{said}\n({why})".strip() if finished.timed_out else said
