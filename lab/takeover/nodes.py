"""Nodes: each remembers the latest leader it has heard of, and obeys no earlier one.

What a leader has them do is written down: that is what must never happen twice for one job.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from lab.takeover import world
from pyganeti.base import errors
from pyganeti.clients import node as nodeclient
from pyganeti.wire import epochs

_PATIENCE: Final = 5.0


@dataclass(slots=True)
class Node:
    """One node's daemon."""

    name: str
    known: epochs.Epoch | None = None
    done: list[tuple[int, epochs.Epoch]] = field(default_factory=list)
    """Which jobs' work was done here, and for which leader, in order."""

    def hear(self, said: epochs.Epoch) -> None:
        """Obey a leader, or raise Deposed."""
        if self.known is not None and said < self.known:
            raise nodeclient.Deposed(f"{self.name} follows {self.known}", self.known)
        self.known = said

    def work(self, job: int, said: epochs.Epoch) -> None:
        """Do a job's work for a leader."""
        self.hear(said)
        self.done.append((job, said))


class Caller:
    """How one daemon calls them."""

    def __init__(self, process: world.Process, nodes: list[Node]) -> None:
        self._process = process
        self._nodes = nodes

    async def promise(self, said: epochs.Epoch) -> list[nodeclient.Deposed]:
        """Have all that answer follow a leader; return those that follow a later one."""
        found = await asyncio.gather(
            *(self._one(node, node.hear, said) for node in self._nodes), return_exceptions=True
        )
        return [error for error in found if isinstance(error, nodeclient.Deposed)]

    async def work(self, job: int, said: epochs.Epoch) -> str:
        """Have a node do a job's work; return which."""
        node = self._nodes[job % len(self._nodes)]
        await self._one(node, lambda by: node.work(job, by), said)
        return node.name

    async def _one(
        self, node: Node, act: Callable[[epochs.Epoch], None], said: epochs.Epoch
    ) -> None:
        process = self._process
        # The node RPC repeats nothing: a call is carried out once at most.
        answer = process.world.ask(process, node.name, lambda: act(said), once=True)
        try:
            async with asyncio.timeout(_PATIENCE):
                await answer
        except TimeoutError as error:
            raise errors.Interrupted(f"{node.name} has not answered") from error
