"""Doing the same to each of the instances that are meant, a job each, all at once."""

from collections.abc import Callable, Sequence

from pyganeti.cli import following, options, session
from pyganeti.model.opcodes import base


def on_each(
    current: session.Session,
    names: Sequence[str],
    make: Callable[[str], base.Opcode],
    how: options.How,
) -> int:
    """Submit a job for each instance and see all to their ends; return the exit code."""
    work = [following.Work(name, [make(name)]) for name in names]
    return 1 if following.run_many(current, work, how) else 0
