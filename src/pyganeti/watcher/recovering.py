"""Runs what recovers instances, with all that it needs: certificates, a gate, those who listen."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Final

from pyganeti.base import paths, services
from pyganeti.clients import node as nodeclient
from pyganeti.watcher import events, gate
from pyganeti.watcher.recovery import recoverer
from pyganeti.watcher.telling import telling

_NODED: Final = "ganeti-noded"


async def once(layout: paths.Paths, door: gate.Gate, told: telling.Telling) -> None:
    """Put right what can be put right now; raises a Failure where there is nobody to ask."""
    async with _recoverer(layout, door, told.listeners) as made:
        await made.once()


async def run(layout: paths.Paths, door: gate.Gate, told: telling.Telling) -> None:
    """Recover until cancelled; raises a Failure where the node's certificates are not there."""
    async with _recoverer(layout, door, told.listeners) as made:
        told.cases = lambda: made.open_cases
        try:
            await made.run()
        finally:
            told.cases = None


@contextlib.asynccontextmanager
async def _recoverer(
    layout: paths.Paths, door: gate.Gate, listeners: Iterable[events.Listener]
) -> AsyncIterator[recoverer.Recoverer]:
    secured = nodeclient.context_of(layout)
    async with nodeclient.Caller(secured, port=services.port(_NODED)) as caller:
        yield recoverer.Recoverer(layout, caller, gate=door, listeners=listeners)
