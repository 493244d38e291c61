"""Taking an epoch: a number higher than any before, that most nodes promise to follow.

Any two majorities have a node in common, and no node promises anything to an earlier epoch once it
has promised a later: so of two that want to lead at once, at most one is promised enough, and a
master that leads by an earlier epoch hears of it from a node that it needs.

A node without a memory for epochs (Ganeti's node daemon) promises by its silence on the matter:
what a majority of such is worth is what its votes are worth. Our own node's promise does not need
its node daemon.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol, TypeAlias

from pyganeti.base import errors, log, paths
from pyganeti.clients import node as nodeclient
from pyganeti.clients import promises
from pyganeti.wire import epochs

_LOG = log.get(__name__)

_ROUNDS: Final = 8
_PAUSE: Final = 0.5
_PATIENCE: Final = 10.0
"""Seconds that a node has for its promise: its disk may be slow."""

_GRACE: Final = 0.2
"""Seconds that nodes have which are not needed any more: they hear of it with their next call."""


class NotPromised(errors.Unavailable):
    """Too few nodes follow, or somebody else is followed."""

    exit_status: ClassVar[int] = 11
    """As Ganeti's daemons end that find that this is not the master."""


class Asking(Protocol):
    """Asks nodes; raises as `clients.node.Caller.call` does."""

    async def promise(
        self, node: nodeclient.Node, number: int, master: str, *, timeout: float
    ) -> None:
        """Have one promise to follow the master of an epoch."""

    async def remembers(self, node: nodeclient.Node, *, timeout: float) -> bool:
        """Find out whether one remembers epochs at all."""


@dataclass(slots=True)
class Round:
    """What nodes answered to one number; pure."""

    wanted: epochs.Epoch
    voters: int
    promised: int = 0
    later: epochs.Epoch | None = None
    """The latest that any follows already, if that is not the wanted one."""

    @property
    def is_enough(self) -> bool:
        """Whether most of the voters have promised."""
        return 2 * self.promised > self.voters

    def note(self, refused: epochs.Epoch) -> None:
        """Take note of whom a node follows instead."""
        self.later = refused if self.later is None else max(self.later, refused)

    def next_number(self) -> int:
        """Return what to try after this."""
        return max(self.wanted.number, 0 if self.later is None else self.later.number) + 1

    def describe(self) -> str:
        """Say it in words for an operator."""
        if self.later is not None:
            return f"nodes follow {self.later.master}, by its epoch {self.later.number}"
        return f"only {self.promised} of {self.voters} nodes promise to follow this one"


_Answer: TypeAlias = errors.Failure | None


class Claiming:
    """How one node takes epochs."""

    def __init__(
        self,
        layout: paths.Paths,
        asking: Asking,
        *,
        may_outdo: Callable[[epochs.Epoch], bool] = lambda _: True,
    ) -> None:
        """Make one; an epoch that a node follows is outdone by a higher one if that ``may`` be."""
        self._layout = layout
        self._name = layout.hostname
        self._asking = asking
        self._may_outdo = may_outdo
        self._forgetful: set[str] = set()

    async def claim(
        self, voters: Iterable[nodeclient.Node], *, needs_most: bool, above: int = 0
    ) -> epochs.Epoch:
        """Return a new epoch, higher than ``above`` and than those that anybody follows.

        Unless ``needs_most`` the promises of those that answer do. Raises NotPromised if there were
        too few, or somebody is followed who may not be outdone.
        """
        everyone = list(voters)
        number = max(above, await self._remembered()) + 1
        left = _ROUNDS
        while True:
            left -= 1
            found = await self._ask(epochs.of(number, self._name), everyone, needs_most=needs_most)
            if found.later is None and (found.is_enough or not needs_most):
                _LOG.info(
                    "a new epoch",
                    epoch=number,
                    promised=found.promised,
                    voters=found.voters,
                )
                return found.wanted
            if not left or (found.later is not None and not self._may_outdo(found.later)):
                raise NotPromised(found.describe())
            number = found.next_number()
            if found.later is None:
                await asyncio.sleep(_PAUSE)

    async def _remembered(self) -> int:
        try:
            known = (await asyncio.to_thread(promises.read, self._layout.epoch_file)).known
        except OSError as error:
            _LOG.warning("what was promised here cannot be read", why=str(error))
            return 0
        return 0 if known is None else known.number

    async def _ask(
        self, wanted: epochs.Epoch, voters: Collection[nodeclient.Node], *, needs_most: bool
    ) -> Round:
        found = Round(wanted, len(voters))
        asked = {
            asyncio.create_task(self._one(node, wanted)) for node in voters if not node.offline
        }
        waiting = asked
        try:
            while waiting:
                enough = found.is_enough or not needs_most
                done, waiting = await asyncio.wait(
                    waiting,
                    timeout=_GRACE if enough else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    _count(found, task.result())
                if enough and not done:
                    break
        finally:
            for task in waiting:
                task.cancel()
        return found

    async def _one(self, node: nodeclient.Node, wanted: epochs.Epoch) -> _Answer:
        try:
            await self._asking.promise(node, wanted.number, wanted.master, timeout=_PATIENCE)
        except (errors.BadInput, errors.Unavailable) as error:
            # Ganeti's breaks off when it does not know a call, like one that is killed.
            if await self._is_forgetful(node):
                self._tell(node.name, error)
            elif node.name != self._name:
                return error
            if node.name == self._name:
                return await self._own(wanted)
        except errors.Failure as error:
            return error
        return None

    async def _is_forgetful(self, node: nodeclient.Node) -> bool:
        try:
            return not await self._asking.remembers(node, timeout=_PATIENCE)
        except errors.Failure:
            return False

    async def _own(self, wanted: epochs.Epoch) -> _Answer:
        """Promise for this node, whose node daemon does not run, or knows no promises."""
        try:
            await promises.give(self._layout, wanted)
        except errors.Failure as error:
            return error
        return None

    def _tell(self, name: str, error: errors.Failure) -> None:
        """Say it once of a node that it does not know what promises are."""
        if name not in self._forgetful:
            self._forgetful.add(name)
            _LOG.warning(
                "a node remembers no master, and keeps none out", node=name, why=str(error)
            )


def _count(found: Round, answer: _Answer) -> None:
    if answer is None:
        found.promised += 1
    elif isinstance(answer, nodeclient.Deposed | promises.Outranked):
        found.note(answer.known)
    else:
        _LOG.warning("a node does not promise to follow this one", why=str(answer))
