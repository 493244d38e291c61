"""Which node groups a network is connected to, or disconnected from: those named, else all."""

from collections.abc import Callable, Sequence

from pyganeti.cli import following, options, session
from pyganeti.model.opcodes import base


def on_each(
    current: session.Session,
    groups: Sequence[str],
    make: Callable[[str], base.Opcode],
    how: options.How,
) -> int:
    """Submit a job for each group and see all to their ends; return the exit code."""
    names = groups or [row[0][1] for row in current.client.query("group", ["name"])["data"]]
    work = [following.Work(name, [make(name)]) for name in names]
    return 1 if following.run_many(current, work, how) else 0
