"""Runs the hooks of one step of an operation: before it (``pre``) or after it (``post``).

They are the programs of ``hooks/NAME-PHASE.d``, each in exactly the environment that the master
sends. What to make of one that fails is the master's business.
"""

from collections.abc import Mapping
from typing import Final

from pyganeti.base import errors, paths, runparts, siteprograms

TIMEOUT: Final = 300.0
"""Seconds one hook may take: a master waits for so long for all of them."""

PHASES: Final = ("pre", "post")

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
    if not siteprograms.is_name(name):
        raise errors.BadInput(f"{name!r} is not the name of hooks")
    environment = siteprograms.checked(dict(environment))
    part = f"{name}-{phase}.d"
    told = await runparts.run(layout.config_dir / "hooks" / part, environment, timeout)
    return [(f"{part}/{hook}", int(outcome), said) for hook, outcome, said in told]


def failed(told: list[Told]) -> list[Told]:
    """Return those that failed."""
    return [hook for hook in told if hook[1] == runparts.Outcome.FAILED]
