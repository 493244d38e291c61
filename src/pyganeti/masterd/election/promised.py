"""The leadership of a daemon that nodes have promised to follow, and how it hears of its end.

Every few seconds all nodes are asked something that each of them answers only to the master it
follows. There are four things that come of it. Enough answer, and it leads. So many are silent
that these alone could be a majority: then another could have been made the master without our
hearing of it, and it changes nothing until they answer again. A node follows a later master: then
it changes nothing either, and asks at once; if most nodes still follow this one, the other came to
nothing, and a new epoch is taken that puts an end to it; else it is over.

A process that stood still (stopped, swapped out, a machine that was paused) does not know what it
missed: if it has not heard from the nodes for so long, it changes nothing before it has asked.

A leadership that was taken without asking is not in doubt because of nodes that are silent: who
took it has said so. That holds until most nodes have been heard to follow it; from then on it is
one like any other.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final

from pyganeti.base import errors, log
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.election import judging, leadership
from pyganeti.wire import epochs

_LOG = log.get(__name__)

INTERVAL: Final = 5.0
"""Seconds between two looks around."""

PATIENCE: Final = 4.0
"""Seconds that a node has to answer."""

STALE: Final = 20.0
"""Seconds after which what was heard last counts for nothing."""

Ask = Callable[[calling.Node], Awaitable[object]]
"""Has a node answer to the master it follows: raises Deposed if that is another, or a Failure."""

Claim = Callable[[int], Awaitable[epochs.Epoch]]
"""Takes a new epoch above a number, most nodes promising it; raises NotLeading."""


class Promised:
    """See the module; `running` looks after it."""

    def __init__(
        self,
        epoch: epochs.Epoch,
        *,
        voters: Callable[[], Iterable[calling.Node]],
        ask: Ask,
        claim: Claim,
        words: str,
        is_sure: bool = False,
        interval: float = INTERVAL,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make one that leads now. ``is_sure``: nodes that are silent are no reason to doubt."""
        self.current = epoch
        self._voters = voters
        self._ask = ask
        self._claim = claim
        self._is_sure = is_sure
        self._interval = interval
        self._patience = patience
        self._clock = clock
        self._standing = leadership.Standing(leadership.State.LEADING, clock(), words)
        self._followers: list[leadership.Follower] = []
        self._confirmed = time.monotonic()
        self._heard: list[epochs.Epoch] = []
        self._due = asyncio.Event()
        self._looking = asyncio.Lock()
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    # What others see.

    @property
    def epoch(self) -> int:
        """The number of its epoch."""
        return self.current.number

    @property
    def standing(self) -> leadership.Standing:
        """How it stands."""
        return self._standing

    @property
    def is_lost(self) -> bool:
        """Whether another is the master."""
        return self._standing.state is leadership.State.DEPOSED

    def check(self) -> None:
        """Raise NotLeading unless it leads for all that is known, and that is not long ago."""
        if self._standing.state is not leadership.State.LEADING:
            raise leadership.NotLeading(self._standing.words)
        heard = time.monotonic() - self._confirmed
        if heard > STALE and not self._is_sure:
            self._due.set()
            raise leadership.NotLeading(
                f"this master daemon has not heard from the nodes for {heard:.0f} s, and asks them"
                " now whether it still is the master: try again"
            )

    def follow(self, follower: leadership.Follower) -> None:
        """Have somebody told when it stands differently."""
        self._followers.append(follower)

    async def assure(self) -> None:
        """Ask the nodes now; raise NotLeading if it does not lead."""
        await self._look()
        self.check()

    async def lost(self) -> str:
        """Return why, when another is the master."""
        return await asyncio.shield(self._lost)

    def hear(self, refusal: nodeclient.Deposed) -> None:
        """Take note that a node refused a call, because it follows a later master."""
        if refusal.known > self.current and not self.is_lost:
            self._heard.append(refusal.known)
            self._change(
                leadership.State.SUSPENDED,
                f"{refusal}: finding out whether this still is the master",
            )
            self._due.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look around every so often, until this is left."""
        watching = asyncio.create_task(self._watch(), name="ask who the master is")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    # How.

    async def _watch(self) -> None:
        while not self.is_lost:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._due.wait()
            self._due.clear()
            try:
                await self._look()
            except Exception:  # noqa: BLE001 - a task's top frame: who is the master is asked again
                _LOG.exception("the nodes could not be asked who the master is")

    async def _look(self) -> None:
        async with self._looking:
            if self.is_lost:
                return
            began = time.monotonic()
            look = await self._ask_all()
            match look.verdict():
                case judging.Verdict.LEADS:
                    self._confirmed = began
                    self._be_sure_no_more(look)
                    self._change(leadership.State.LEADING, look.describe(), look.silent)
                case judging.Verdict.DOUBTFUL:
                    if self._is_sure:
                        self._change(leadership.State.LEADING, look.describe(), look.silent)
                        return
                    self._change(
                        leadership.State.SUSPENDED,
                        f"{look.describe()}: another could have been made the master without this"
                        " one hearing of it, so nothing is changed until more nodes answer; if you"
                        " are sure that there is no other, restart ganeti-masterd with --no-voting",
                        look.silent,
                    )
                case judging.Verdict.CHALLENGED:
                    await self._outdo(look)
                case judging.Verdict.DEPOSED:
                    self._depose(look.describe())

    def _be_sure_no_more(self, look: judging.Look) -> None:
        if self._is_sure and 2 * look.following > look.voters:
            self._is_sure = False
            _LOG.info("most nodes follow this master, that nobody was asked about")

    async def _ask_all(self) -> judging.Look:
        voters = list(self._voters())
        asked = [node for node in voters if not node.offline]
        answers = await asyncio.gather(*(self._ask_one(node) for node in asked))
        later = [a.known for a in answers if isinstance(a, nodeclient.Deposed)]
        return judging.Look(
            self.current,
            len(voters),
            sum(answer is None for answer in answers),
            tuple(
                node.name
                for node, answer in zip(asked, answers, strict=True)
                if answer is not None and not isinstance(answer, nodeclient.Deposed)
            ),
            [epoch for epoch in (*later, *self._heard) if epoch > self.current],
        )

    async def _ask_one(self, node: calling.Node) -> errors.Failure | None:
        try:
            async with asyncio.timeout(self._patience):
                await self._ask(node)
        except errors.Failure as error:
            return error
        except TimeoutError:
            return errors.Interrupted(f"{node.name} has not answered")
        return None

    async def _outdo(self, look: judging.Look) -> None:
        """Take an epoch above one that came to nothing: most nodes follow this master."""
        assert look.latest is not None  # noqa: S101 - or it would not be challenged
        _LOG.warning("somebody else took a later epoch, and most nodes do not follow it",
            votes=look.describe())  # fmt: skip
        try:
            self.current = await self._claim(look.latest.number)
        except errors.Failure as error:
            self._depose(f"{look.describe()}; and they do not promise any more: {error}")
            return
        self._heard.clear()
        self._confirmed = time.monotonic()
        self._change(leadership.State.LEADING, f"epoch {self.epoch} was taken over that")

    def _depose(self, words: str) -> None:
        why = f"this is not the master any more: {words}"
        self._change(leadership.State.DEPOSED, why)
        if not self._lost.done():
            self._lost.set_result(why)

    def _change(
        self, state: leadership.State, words: str, silent: tuple[str, ...] | None = None
    ) -> None:
        before = self._standing
        if self.is_lost:
            return
        kept = before.silent if silent is None else silent
        if state is before.state:
            self._standing = leadership.Standing(state, before.since, words, kept)
            if kept == before.silent:
                return
        else:
            self._standing = leadership.Standing(state, self._clock(), words, kept)
            tell = _LOG.info if state is leadership.State.LEADING else _LOG.error
            tell("the mastership has changed", now=state.value, why=words)
        for follower in self._followers:
            follower(self._standing)
