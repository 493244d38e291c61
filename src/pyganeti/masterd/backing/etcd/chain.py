"""Changes in etcd that follow each other, each once or not at all, whatever becomes of answers.

Every change also puts a link, a key with a mark of its own, and holds only if the last link is the
one before. So a change that is delivered twice takes effect once, and one that arrives when
somebody has long given it up, after another, not at all.

In failure: when no answer comes, nobody knows whether a change took effect: `Undecided`. Nor is
that known for ever of one that was refused for what passes, such as want of room. It is found out
before anything else is changed, and if it did it is undone then; whoever was told no was told the
truth in the end. `Chain.mind` does that also when nobody comes to change anything. A leader that
ends before leaves that to nobody: the next one finds what is there.

If somebody else puts a link, or etcd was set back to an earlier state, the chain is broken for
good: Conflict. The leadership is lost with that, so that whoever leads next takes up what is there.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from pyganeti.base import errors, log
from pyganeti.clients.etcd import client, failures, messages
from pyganeti.masterd.backing.etcd import fence as fences
from pyganeti.masterd.config import store
from pyganeti.masterd.election import leadership

_LOG = log.get(__name__)

_DOUBT_PATIENCE: Final = 2.0
"""Seconds that are spent at a time on finding out what became of a change."""

_PAUSES: Final = (0.2, 5.0)


class Undecided(errors.Unavailable):
    """No answer came: it may have been changed, and will be found out and undone."""


class Link(msgspec.Struct, frozen=True):
    """The key's value: by which change, and which larger one waits to be finished."""

    by: str
    staged: str = ""


_DECODER: Final = msgspec.json.Decoder(Link)


@dataclass(frozen=True, slots=True)
class _Doubt:
    mark: str
    undo: tuple[messages.Operation, ...]
    staged: str
    """What the link has to say again if it is undone."""
    settling: str
    """The mark of the change that decides."""


class _Moved(Exception):
    """The link is not the one that was expected."""

    def __init__(self, found: messages.Item | None) -> None:
        super().__init__()
        self.found = found


class Chain:
    """One chain; `adopt` its last link first."""

    def __init__(
        self,
        etcd: client.Client,
        key: bytes,
        fence: fences.Fence,
        *,
        name: Callable[[], str] = lambda: secrets.token_hex(8),
        doubt_patience: float = _DOUBT_PATIENCE,
    ) -> None:
        """Make one whose changes begin with a ``name`` that nobody else has.

        What became of a change is asked for ``doubt_patience`` seconds at a time.
        """
        self.key: Final = key
        self.fence: Final = fence
        self.revision = 0
        """Of the last link, 0 if there is none yet."""
        self.staged = ""
        """Which larger change the last link says that it waits to be finished."""
        self._etcd = etcd
        self._name = name()
        self._patience = doubt_patience
        self._marks = itertools.count(1)
        self._doubt: _Doubt | None = None
        self._owed: tuple[messages.Operation, ...] | None = None
        self._owed_mark = ""
        self._turn = asyncio.Lock()
        self._doubting = asyncio.Event()

    def adopt(self, found: messages.Item | None) -> None:
        """Go on after a link that was found. Raises Damaged if it is none."""
        self.revision = 0 if found is None else found.modified
        self.staged = "" if found is None else decode(found.value).staged
        self._doubt = self._owed = None

    def is_ours(self, link: Link) -> bool:
        """Tell whether a link was put by this very chain."""
        return link.by.startswith(f"{self._name}.")

    @property
    def is_in_doubt(self) -> bool:
        """Whether something may have been changed that nobody should see."""
        return self._doubt is not None or self._owed is not None

    async def commit(
        self,
        operations: Sequence[messages.Operation],
        *,
        conditions: Sequence[messages.Condition] = (),
        looks: Sequence[messages.Get] = (),
        undo: Sequence[messages.Operation] = (),
        staged: str | None = None,
        patience: float = client.PATIENCE,
    ) -> messages.Outcome:
        """Change something if the conditions hold; otherwise return what ``looks`` find.

        ``undo`` takes it back, for when nobody can know whether it was done. ``staged`` is what the
        link is to say from then on. Raises Undecided, NotLeading, Conflict; Unavailable or
        Exhausted, and then it is as it was.
        """
        self.fence.check()
        staged = self.staged if staged is None else staged
        async with self._turn:
            await self._settle()
            mark = self._mark()
            # From here on it may be done, also if whoever waits for it gives up.
            self._doubt = _Doubt(mark, tuple(undo), self.staged, self._mark())
            try:
                outcome = await self._attempt(
                    mark, operations, conditions, looks, staged, patience=patience
                )
            except failures.Unanswered as error:
                self._etcd.counts.undecided += 1
                self._doubting.set()
                raise Undecided(
                    f"it is not known whether it was written, and will be undone: {error}"
                ) from error
            except _Moved as error:
                self._doubt = None
                raise self._broken() from error
            except (errors.BadInput, leadership.NotLeading):
                self._doubt = None  # it never will be done
                raise
            except errors.Failure:
                # etcd has no room, say; but if it comes a second time, it may have.
                self._doubting.set()
                raise
            except BaseException:  # somebody gave up waiting
                self._doubting.set()
                raise
            if outcome.held or outcome.asked == 1:
                self._doubt = None
            else:  # an earlier asking may arrive when the conditions hold
                self._doubting.set()
            return outcome

    async def mind(self) -> None:
        """Find out and undo what is undecided, as soon as etcd answers; for a task, for ever."""
        while True:
            await self._doubting.wait()
            pause = _PAUSES[0]
            while self.is_in_doubt:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSES[1])
                try:
                    async with self._turn:
                        await self._settle()
                except errors.Failure as error:
                    _LOG.debug("a change is still undecided", reason=str(error))
            self._doubting.clear()

    # How.

    def _mark(self) -> str:
        return f"{self._name}.{next(self._marks)}"

    def _broken(self) -> store.Conflict:
        why = f"somebody else wrote {self.key.decode()} in etcd, or etcd was set back"
        self.fence.lose(why)
        return store.Conflict(
            f"{why}: it is left alone, and the next leader takes up what is there"
        )

    async def _attempt(
        self,
        mark: str,
        operations: Sequence[messages.Operation],
        conditions: Sequence[messages.Condition] = (),
        looks: Sequence[messages.Get] = (),
        staged: str = "",
        *,
        patience: float = client.PATIENCE,
    ) -> messages.Outcome:
        """Carry one change out; raises _Moved if the last link is another."""
        link = messages.Put(self.key, msgspec.json.encode(Link(mark, staged)))
        expected = messages.Modified(self.key, self.revision)
        outcome = await self._etcd.transact(
            messages.Transaction(
                [self.fence.condition, expected, *conditions],
                [*operations, link],
                [messages.Get(self.key), self.fence.look, *looks],
            ),
            patience=patience,
        )
        if outcome.held:
            self.revision, self.staged = outcome.revision, staged
            return outcome
        links, leaders, *found = outcome.found
        if links and decode(links[0].value).by == mark:  # an earlier delivery of this one
            self.revision, self.staged = links[0].modified, staged
            return messages.Outcome(held=True, revision=links[0].modified)
        self.fence.confirm(leaders)
        if (links[0].modified if links else 0) != self.revision:
            raise _Moved(links[0] if links else None)
        return messages.Outcome(
            held=False, revision=outcome.revision, found=tuple(found), asked=outcome.asked
        )

    async def _settle(self) -> None:
        """Find out whether the change in doubt took effect, and undo it if so.

        A change that only puts a link decides it: either it holds, and the other one never will;
        or the other one did.
        """
        doubt = self._doubt
        if doubt is not None:
            try:
                await self._attempt(
                    doubt.settling, (), staged=doubt.staged, patience=self._patience
                )
            except _Moved as moved:
                found = moved.found
                if found is None or decode(found.value).by != doubt.mark:
                    raise self._broken() from moved
                self.revision = found.modified
                self.staged = doubt.staged
                if doubt.undo or decode(found.value).staged != doubt.staged:
                    self._owed, self._owed_mark = doubt.undo, self._mark()
            self._doubt = None
        if self._owed is not None:
            try:
                await self._attempt(
                    self._owed_mark, self._owed, staged=self.staged, patience=self._patience
                )
            except _Moved as moved:
                raise self._broken() from moved
            self._owed = None
            self._etcd.counts.undone += 1
            _LOG.warning(
                "a change that etcd had not confirmed took effect, and was undone",
                key=self.key.decode(),
            )


def decode(value: bytes) -> Link:
    """Return the link in a key's value; raises Damaged if there is none."""
    try:
        return _DECODER.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.Damaged(f"this is no link of a chain of changes: {error}") from error
