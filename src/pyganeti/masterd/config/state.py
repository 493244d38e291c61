"""The configuration as it is, and the one way to change it.

`Config.current` is what is durable; whoever holds a snapshot of it may go on reading. A change is
made in memory at once, on top of those that are not written yet, and waits until the store has it:
all that came meanwhile go in one write, so twenty at once cost little more than one.

Invariants: what an edit sees includes every change before it; what `current` says survives a power
failure; edits come into effect in the order in which they were made, all of each or none.

In failure: if a write fails, its changes fail, and with them those that had been made on top of
them, which had seen what never came to be. The state in memory is then again the one that the
store has, and the next change goes on from there. Whoever gives up waiting for a change does not
undo it.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Protocol, TypeVar

from pyganeti.base import log
from pyganeti.masterd.config import draft, invariants, store
from pyganeti.masterd.config.findings import Finding
from pyganeti.model.config import codec, entries
from pyganeti.model.config.snapshot import Snapshot

_LOG = log.get(__name__)
_TOLD: Final = 20
"""Findings in the log at the start."""

T = TypeVar("T")

Follower = Callable[[Snapshot], None]
"""Who is told of every durable state, from the loop; not to raise, and quick."""


class Distribution(Protocol):
    """What brings the configuration to the nodes."""

    async def settled(self, *, timeout: float, patient: bool = True) -> Sequence[str]:
        """Wait until the nodes have what is current now; return the names of those that do not."""

    def renew(self) -> None:
        """Send everything to everybody again, whatever they have."""


class _Batch:
    """Changes that are written together."""

    def __init__(self, before: Snapshot) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done.add_done_callback(_retrieve)
        self.changes: dict[str, bytes | None] = {}
        self.after = before


class Config:
    """The cluster's configuration; made by `opened`."""

    def __init__(
        self,
        kept: store.Store,
        snapshot: Snapshot,
        version: int,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = kept
        self._version = version
        self._clock = clock
        self._current = snapshot
        self._newest = snapshot
        self._waiting: _Batch | None = None
        self._writing: _Batch | None = None
        self._due = asyncio.Event()
        self._is_closing = False
        self._followers: list[Follower] = []
        self.distribution: Distribution | None = None
        """Given by the app: it needs to know the configuration itself."""
        self.permitted: Callable[[], None] = lambda: None
        """Raises a Failure unless changes may be made now; given by the app, likewise."""

    @property
    def current(self) -> Snapshot:
        """The configuration that is durable."""
        return self._current

    def verify(self) -> list[Finding]:
        """Return everything that is wrong with the configuration."""
        return invariants.verify(self._current)

    def follow(self, follower: Follower) -> None:
        """Have somebody told of every state that becomes durable from now on."""
        self._followers.append(follower)

    async def change(self, edit: Callable[[draft.Draft], T]) -> T:
        """Have an edit change the configuration; return what it returns, once all is durable.

        The edit is called at once and only once. Raises what the edit raises, and BadInput if it
        breaks an invariant, or what `permitted` raises: then nothing is changed. Raises Exhausted,
        Unavailable or Conflict if it cannot be written: then it is as if it never had been.
        """
        if self._is_closing:
            raise RuntimeError("the configuration is closed")
        self.permitted()
        made = draft.Draft(self._newest, self._clock())
        result = edit(made)
        # An edit that changes nothing waits too: what it saw may not be durable yet.
        batch = self._add(made) if made.is_changed else self._waiting or self._writing
        if batch is not None:
            await asyncio.shield(batch.done)
        return result

    async def distributed(self, *, timeout: float, patient: bool = True) -> Sequence[str]:
        """Wait until candidates have what is current now, and nodes what they have to know of it.

        Returns the names of the nodes that do not, after ``timeout`` seconds at most; unless
        ``patient`` as soon as only those are left that did not take what they were sent.
        """
        if self.distribution is None:
            return ()
        return await self.distribution.settled(timeout=timeout, patient=patient)

    async def redistributed(self, *, timeout: float) -> Sequence[str]:
        """Have everything sent to everybody again, whatever they have; otherwise `distributed`."""
        if self.distribution is not None:
            self.distribution.renew()
        return await self.distributed(timeout=timeout)

    def _add(self, made: draft.Draft) -> _Batch:
        """Put a finished edit on top of what waits to be written."""
        after = made.finished()
        invariants.check(made.before, after, made.touched)
        changes: dict[str, bytes | None] = {entries.HEAD: entries.head_of(after)}
        if after.cluster is not made.before.cluster:
            changes[entries.CLUSTER] = codec.encode(after.cluster)
        for section, attribute in entries.SECTIONS.items():
            for uuid, held in made.touched.get(attribute, {}).items():
                piece = None if held is None else codec.encode(held)
                changes[entries.key(section, uuid)] = piece
        if self._waiting is None:
            self._waiting = _Batch(self._newest)
            self._due.set()
        self._waiting.changes |= changes
        self._waiting.after = self._newest = after
        return self._waiting

    async def write_all(self) -> None:
        """Write batches as they come; return when closed and all is written. `opened` runs it."""
        while not self._is_closing:
            await self._due.wait()
            self._due.clear()
            while (batch := self._waiting) is not None:
                self._waiting, self._writing = None, batch
                try:
                    await self._write(batch)
                finally:
                    self._writing = None

    def close(self) -> None:
        """Take no more changes, and have `write_all` end when all are written."""
        self._is_closing = True
        self._due.set()

    async def _write(self, batch: _Batch) -> None:
        try:
            self.permitted()
            self._version = await self._store.swap(self._version, batch.changes)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait have to hear it
            _LOG.error("a change of the configuration cannot be written", error=str(error))
            self._give_up(batch, error)
            return
        self._current = batch.after
        batch.done.set_result(None)
        for follower in self._followers:
            try:
                follower(batch.after)
            except Exception:  # noqa: BLE001 - somebody else's fault, and the writing must go on
                _LOG.exception("a follower of the configuration failed")

    def _give_up(self, batch: _Batch, error: Exception) -> None:
        """Fail a batch, and the one that was made on top of it."""
        on_top, self._waiting = self._waiting, None
        self._newest = self._current
        for failed in (batch, on_top):
            if failed is not None:
                failed.done.set_exception(error)


@contextlib.asynccontextmanager
async def opened(
    kept: store.Store, *, clock: Callable[[], float] = time.time
) -> AsyncIterator[Config]:
    """Read the configuration and hold it open, the right to write it included.

    What is wrong with it is said in the log; it is opened nevertheless. Leaving waits until every
    change that was made is written. Raises AlreadyRunning if another master daemon has it, and
    what `store.Store.read` and `entries.to_snapshot` raise.
    """
    async with kept.lease():
        held, version = await kept.read()
        snapshot = await asyncio.to_thread(entries.to_snapshot, held)
        del held
        config = Config(kept, snapshot, version, clock=clock)
        _tell(config.verify())
        writing = asyncio.create_task(config.write_all(), name="write the configuration")
        noticing = asyncio.create_task(_notice(kept), name="notice other writers")
        try:
            yield config
        finally:
            config.close()
            await asyncio.shield(writing)
            noticing.cancel()
            await asyncio.wait({noticing})


async def _notice(kept: store.Store) -> None:
    """Say it when somebody else writes; the store refuses to write over it by itself."""
    try:
        async for _ in kept.watch():
            _LOG.error(
                "somebody else wrote the configuration: changes are refused until it is read "
                "anew, as at a start"
            )
    except OSError as error:
        _LOG.warning("other writers of the configuration are not noticed", error=str(error))


def _tell(found: Sequence[Finding]) -> None:
    for finding in found[:_TOLD]:
        _LOG.warning("something is wrong with the configuration", what=str(finding))
    if len(found) > _TOLD:
        _LOG.warning("more is wrong with the configuration", findings=len(found))


def _retrieve(done: "asyncio.Future[None]") -> None:
    """Look at the outcome, so that one which nobody waits for any more is no mistake."""
    if not done.cancelled():
        done.exception()
