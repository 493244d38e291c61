"""Asking nodes while one of them is made the master: those that are gone are waited for once.

It is for them that this is done, and each step would wait for each of them again.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final

from pyganeti.base import errors, services
from pyganeti.clients import node as nodeclient
from pyganeti.model.config.node import Node

_PATIENCE: Final = 6.0
_LONG: Final = 60.0
_PAUSE: Final = 0.2
_CONNECTING: Final = 1.0


class Asking:
    """Asks through one caller, and remembers who did not answer."""

    def __init__(self, caller: nodeclient.Caller) -> None:
        self._caller = caller
        self._gone: set[str] = set()

    async def __call__(
        self, address: str, name: str, *arguments: object, timeout: float = _LONG
    ) -> Any:  # noqa: ANN401 - JSON
        """Have one carry out a call; raises Failure."""
        return await self._caller.call(address, name, arguments, timeout=timeout)

    async def each(
        self,
        nodes: Collection[Node],
        call: str,
        arguments: Sequence[object] = (),
        *,
        may_break_off: bool = False,
    ) -> dict[str, Any | errors.Failure]:
        """Ask nodes at once; return by their names what they say, or why not.

        ``may_break_off``: who does not know such a call ends the connection, and is not gone.
        """
        there = [node for node in nodes if node.name not in self._gone]
        answers = await self._caller.call_each(
            [node.primary_ip for node in there], call, arguments, timeout=_PATIENCE
        )
        found = {node.name: answers[node.primary_ip] for node in there}
        if not may_break_off:
            silent = (errors.Unavailable, errors.Interrupted)
            self._gone |= {name for name, said in found.items() if isinstance(said, silent)}
        for node in nodes:
            if node.name not in found:
                found[node.name] = errors.Unavailable(f"{node.name} did not answer before")
        return found

    async def promise(
        self, node: nodeclient.Node, number: int, master: str, *, timeout: float
    ) -> None:
        """Have one promise to follow the master of an epoch; raises Failure."""
        await self(node.primary_ip, "master_promise", number, master, timeout=timeout)

    async def remembers(self, node: nodeclient.Node, *, timeout: float) -> bool:
        """Find out whether one remembers epochs; raises Failure."""
        await self(node.primary_ip, "version", timeout=timeout)
        return self._caller.remembers(node.primary_ip)


async def until_answers(address: str, *, is_there: bool, patience: float) -> bool:
    """Wait for an address to answer, or not to; return whether it does as wanted."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while await _answers(address) != is_there:
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_PAUSE)
    return True


async def _answers(address: str) -> bool:
    try:
        async with asyncio.timeout(_CONNECTING):
            _, writer = await asyncio.open_connection(address, services.port("ganeti-noded"))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
