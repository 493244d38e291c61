"""Asking a node, for nothing but whether it still follows this master.

It is a call that every node daemon has, made on connections of its own: those for jobs may all be
taken by calls that last for hours. Our own node is asked by its file, whether or not its daemon
runs.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from pyganeti.base import errors, log, paths, services
from pyganeti.clients import node as nodeclient
from pyganeti.clients import promises
from pyganeti.masterd import nodes as calling
from pyganeti.wire import epochs

_LOG = log.get(__name__)
_QUESTION: Final = "version"
_PLACES: Final = 2


class Looking:
    """Asks nodes as the master of an epoch."""

    def __init__(self, layout: paths.Paths, epoch: Callable[[], epochs.Epoch | None]) -> None:
        self._layout = layout
        self._epoch = epoch
        self._context: ssl.SSLContext | None = None

    async def ask(self, node: calling.Node) -> None:
        """Return if a node follows this master; raises Deposed if not, else another Failure."""
        if node.name == self._layout.hostname:
            await self._ask_here()
            return
        async with nodeclient.Caller(
            await self._secured(),
            port=services.port("ganeti-noded"),
            places=_PLACES,
            epoch=self._epoch,
        ) as caller:
            await caller.call(node.primary_ip, _QUESTION)

    async def _ask_here(self) -> None:
        try:
            known = (await asyncio.to_thread(promises.read, self._layout.epoch_file)).known
        except OSError as error:
            _LOG.debug("what was promised here cannot be read", why=str(error))
            return
        own = self._epoch()
        if known is not None and own is not None and own < known:
            refused = promises.outranked(known)
            raise nodeclient.Deposed(f"{self._layout.hostname}: {refused}", known)

    async def _secured(self) -> ssl.SSLContext:
        """Return the certificates of now; where they cannot be read, those of before."""
        try:
            self._context = await asyncio.to_thread(nodeclient.context_of, self._layout)
        except errors.Failure:
            if self._context is None:
                raise
        return self._context
