"""A stop journal under observation: its troubles, its answers, and what a reader then finds."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from lab import examples
from pyganeti.clients import stopjournal
from pyganeti.kvmd.journal import journal
from pyganeti.model import stop

SLOW_DISK = 30.0
"""Seconds for a test that is not about slow disks, on machines that have them."""


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for a condition that another thread or process brings about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


class Observed:
    """A journal, the troubles it told of, and the answers it gave."""

    def __init__(self, path: Path, keep_rows: int, patience: float) -> None:
        self.path = path
        self.troubles: list[journal.Trouble] = []
        self.kept = journal.Journal.open(
            path, keep_rows=keep_rows, patience=patience, on_trouble=self.troubles.append
        )
        self.loaded = self.kept.load(examples.BOOT)

    @property
    def kinds(self) -> list[journal.TroubleKind]:
        """The kinds of the troubles told of so far."""
        return [trouble.kind for trouble in self.troubles]

    async def record(self, *stops: stop.Stop) -> list[journal.Outcome]:
        """Record stops and return what the answers were, in their order."""
        answers: list[journal.Outcome] = []
        for one in stops:
            self.kept.record(one, lambda _, outcome: answers.append(outcome))
        await until(lambda: len(answers) == len(stops))
        return answers


@contextlib.contextmanager
def observed(
    path: Path, keep_rows: int = 100_000, patience: float = SLOW_DISK
) -> Iterator[Observed]:
    """Open the journal at ``path`` and close it in the end."""
    found = Observed(path, keep_rows, patience)
    try:
        yield found
    finally:
        found.kept.close()


def stored(path: Path) -> list[stop.Stop]:
    """Return the stops that a reader finds."""
    with stopjournal.Reader(path) as reader:
        return list(reader.stops())


def watched(path: Path) -> list[stop.Watched]:
    """Return the qemus under watch that a reader finds."""
    with stopjournal.Reader(path) as reader:
        return reader.watched()
