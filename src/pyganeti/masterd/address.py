"""The cluster's address while this daemon leads: taken at the beginning, left when another leads.

It may not be free yet: an old master that stands still answers for it, until it goes on and hears
that it is none any more. So it is tried again until it is there; nobody is kept from working. When
the daemon ends in order the address stays, for the next start.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Final

from pyganeti.base import errors, log
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.config import rpcargs, state
from pyganeti.masterd.election import leadership

_LOG = log.get(__name__)

_PATIENCE: Final = 30.0
"""Seconds that the own node daemon has to take the address, or to give it back."""

_PAUSES: Final = (1.0, 30.0)
"""Seconds between attempts to take it: after the first, and the longest."""


@contextlib.asynccontextmanager
async def held(
    config: state.Config, nodes: calling.Nodes, leading: leadership.Leadership
) -> AsyncIterator[None]:
    """Have this node take the address, at once or later; leave it if the leadership is lost."""
    why = await _order(config, nodes, "node_activate_master_ip")
    retrying: asyncio.Task[None] | None = None
    if why:
        _LOG.error("the master's address could not be taken, which is tried again", why=why)
        retrying = asyncio.create_task(_retry(config, nodes), name="take the master's address")
    try:
        yield
    finally:
        if retrying is not None:
            retrying.cancel()
            await asyncio.wait({retrying})
        if leading.is_lost:
            why = await _order(config, nodes, "node_deactivate_master_ip")
            if why:
                _LOG.error("the master's address could not be given up", why=why)


async def _retry(config: state.Config, nodes: calling.Nodes) -> None:
    pause, longest = _PAUSES
    while True:
        await asyncio.sleep(pause * random.uniform(0.75, 1.25))
        pause = min(pause * 2, longest)
        why = await _order(config, nodes, "node_activate_master_ip")
        if not why:
            _LOG.info("the master's address was taken")
            return
        _LOG.debug("the master's address still cannot be taken", why=why)


async def _order(config: state.Config, nodes: calling.Nodes, call: str) -> str:
    """Have our node daemon do something with the address; return why it did not."""
    snapshot = config.current
    try:
        await nodes.call(
            snapshot.master,
            call,
            rpcargs.master_address(snapshot),
            snapshot.cluster.use_external_mip_script,
            timeout=_PATIENCE,
        )
    except errors.Failure as error:
        return str(error)
    return ""
