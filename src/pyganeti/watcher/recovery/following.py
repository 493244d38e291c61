"""Follows one node's stops: asks for those behind the mark, and waits there for the next one.

Failure: a node that is gone is asked again after growing pauses, for ever. One that cannot tell (a
node daemon of Ganeti's has no such call) or whose kvmd does not run is *blind*: its instances have
to be looked at. Too many who wait there: it is asked now and then instead.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final, Protocol

from pyganeti.base import errors, log
from pyganeti.clients import node as nodeclient
from pyganeti.clients import nodestops
from pyganeti.model import stop as stops
from pyganeti.wire import stopanswers

_LOG = log.get(__name__)

_END: Final = stopanswers.END
_PATIENCE: Final = 20.0
_ROWS: Final = 500
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 15.0
_CROWDED: Final = 1.0
_BLIND: Final = 60.0
"""Seconds until a node that could not tell is asked whether it can by now."""


class Taken(Protocol):
    """Who takes what a node told."""

    def __call__(
        self, node: str, found: tuple[stops.Stop, ...], mark: str | None, *, again: bool
    ) -> None:
        """Take stops, oldest first, and where to go on; some were told before if ``again``."""


class Following:
    """Follows one node, from `run` on until that is cancelled."""

    def __init__(
        self,
        node: str,
        address: str,
        caller: nodeclient.Caller,
        *,
        mark: str | None,
        taken: Taken,
        denied: Callable[[], None] = lambda: None,
    ) -> None:
        """``mark`` is how far it was read; None: from now on. ``denied`` renews certificates."""
        self.node = node
        self.address = address
        self._caller = caller
        self._mark = mark
        self._taken = taken
        self._denied = denied
        self._trouble = ""
        self._has_begun = False
        self._again = False
        self.begun = asyncio.Event()
        """Set when the node has answered once, or has failed to."""

        self.is_blind = True
        """Whether stops may happen there that are not told."""

    async def run(self) -> None:
        """Follow it for ever."""
        failures = 0
        while True:
            try:
                await self._ask(_PATIENCE)
            except errors.Failure as failure:
                failures += 1
                self.begun.set()
                await asyncio.sleep(self._pause(failure, failures))
            else:
                if failures:
                    _LOG.info("stops are told again", node=self.node)
                failures, self._trouble = 0, ""

    async def catch_up(self) -> None:
        """Take what is there, without waiting for more; failures are logged only."""
        try:
            while await self._ask(0.0):
                pass
        except errors.Failure as failure:
            self._complain(failure)
        finally:
            self.begun.set()

    async def _ask(self, patience: float) -> bool:
        """Ask once; return whether there is more. Raises Failure."""
        # Where to begin is found out without waiting: what happens from then on is told.
        begun, patience = (self._mark, patience) if self._has_begun else (self._mark or _END, 0.0)
        page = await nodestops.page(
            self._caller, self.address, begun, patience=patience, limit=_ROWS
        )
        told = page.answer
        if told.anew:
            _LOG.warning("some stops may have been missed", node=self.node, why=told.anew)
        if page.illegible:
            _LOG.warning("some stops are not legible", node=self.node, number=page.illegible)
        self.is_blind = told.journal != "there" or not told.kvmd
        self._has_begun = True
        self._mark = page.mark  # without a journal none: from its oldest stop on, once it is there
        self._again = self._again or bool(told.anew)
        self._taken(self.node, page.stops, page.mark, again=self._again)
        self._again = self._again and told.more  # until it has told all that it has
        self.begun.set()
        return told.more

    def _pause(self, failure: errors.Failure, failures: int) -> float:
        self.is_blind = True
        self._complain(failure)
        if isinstance(failure, errors.BadInput):  # it has no such call
            return _BLIND * random.uniform(0.9, 1.1)
        if isinstance(failure, errors.Refused):
            return _CROWDED
        if isinstance(failure, errors.Denied):
            self._denied()
        pause = min(_FIRST_PAUSE * 2.0 ** min(failures - 1, 10), _LONGEST_PAUSE)
        return pause * random.uniform(0.8, 1.0)

    def _complain(self, failure: errors.Failure) -> None:
        if type(failure).__name__ != self._trouble:
            _LOG.warning("stops are not told", node=self.node, why=str(failure))
        self._trouble = type(failure).__name__
