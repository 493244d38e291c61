"""Everybody who is told, together: made once a process, whether or not it recovers at the moment.

A watcher that does not recover (any more) still sends what its node owes to webhooks.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

import pyganeti
from pyganeti.base import errors, paths, ssconf
from pyganeti.metrics import page as pages
from pyganeti.watcher import events
from pyganeti.watcher.telling import figures, programs, webhooks

PATIENCE: Final = 5.0
"""Seconds at the end for programs that were not run yet; and in a pass, for webhooks."""


class Telling:
    """Those who listen, to be used as ``async with``; ``listeners`` are for the recoverer."""

    def __init__(self, layout: paths.Paths, *, is_pass: bool = False) -> None:
        """In a pass there is no next moment: it is waited a while for what is owed."""
        self._is_pass = is_pass
        self.page = pages.Page("watcher", pyganeti.__version__)
        self.cases: Callable[[], int] | None = None
        """How many instances are not as they should be; None while this watcher does not recover.

        Set by who has it recover."""

        self._counted = figures.Figures(self.page)
        self._programs = programs.Programs(
            layout.config_dir / programs.FOLDER,
            lambda: _cluster(layout),
            observed=self._counted.ran,
        )
        self._webhooks = webhooks.Webhooks(
            layout, lambda: _cluster(layout), observed=self._counted.sent
        )
        self._counted.watch(
            is_recovering=lambda: self.cases is not None,
            cases=lambda: 0 if self.cases is None else self.cases(),
            owed=lambda: self._webhooks.owed,
        )
        self._reloading: set[asyncio.Task[None]] = set()

    @property
    def listeners(self) -> Sequence[events.Listener]:
        """Who is to be told."""
        return self._counted, self._programs, self._webhooks

    async def __aenter__(self) -> Self:
        """Begin to tell."""
        self._programs.start()
        await self._webhooks.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; what webhooks are owed stays on the disk."""
        if self._is_pass:
            await self._webhooks.settled(PATIENCE)
        for task in self._reloading:
            task.cancel()
        await asyncio.gather(*self._reloading, return_exceptions=True)
        await self._programs.close(PATIENCE)
        await self._webhooks.close()

    def kept(self, daemon: str, what: str) -> None:
        """Count that a daemon of this node fell, was started, or did not start: failed."""
        self._counted.kept(daemon, what)

    def reload(self) -> None:
        """Go by the file of webhooks as it is now, soon."""
        task = asyncio.get_running_loop().create_task(self._webhooks.reload())
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)


def _cluster(layout: paths.Paths) -> str:
    try:
        return (ssconf.read(layout, "cluster_name") or "").strip()
    except (errors.Failure, OSError):
        return ""
