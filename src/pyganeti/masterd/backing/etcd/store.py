"""The configuration in etcd, an entry a key.

A change is one transaction where it fits into one. A larger one is put beside, in parts that nobody
looks at, then made valid by one transaction that names them, then moved to where entries belong;
whoever reads in between reads both. So a change is there whole or not at all, whatever its size.

Invariants: only the leader writes; what is in memory here is what is in etcd. In failure a change
that is refused leaves nothing; one that nobody knows about is undone (`chain`). If anybody else
writes, we notice and write no more, as with a file: to put ours over it would undo what somebody
wanted. The leadership is lost with that, and whoever leads next takes up what is there.
"""

import asyncio
import contextlib
import secrets
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from pyganeti.base import errors, log
from pyganeti.clients.etcd import client, compacting, failures, messages, watching
from pyganeti.masterd.backing.etcd import chain, fence, keys
from pyganeti.masterd.config import store
from pyganeti.model.config import datafile, entries

_LOG = log.get(__name__)

_MODE: Final = 0o640
_MOST: Final = messages.MOST_OPERATIONS - 8
"""Entries in one transaction, beside the link."""

_PART: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_GONE: Final = b"null"
_OVERHEAD: Final = 64
"""Bytes that a key and a value need besides themselves, or less."""


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in etcd: entries, and the last link of their chain."""

    held: dict[str, bytes]
    link: messages.Item | None
    has_leftovers: bool
    """Whether there are parts of a change that never became valid."""


async def find(etcd: client.Client, where: keys.Keys) -> Found:
    """Return the configuration as it is, none at all if there is none; anybody may look.

    Raises Unavailable if etcd does not answer, Damaged if what is there is none.
    """
    found = await etcd.range(where.config, messages.end_of(where.config))
    link: messages.Item | None = None
    held: dict[str, bytes] = {}
    parts: dict[bytes, messages.Item] = {}
    for item in found.items:
        if item.key == where.config_now:
            link = item
        elif item.key.startswith(where.entries):
            held[item.key.removeprefix(where.entries).decode()] = item.value
        elif item.key.startswith(where.staged):
            parts[item.key] = item
    staged = "" if link is None else chain.decode(link.value).staged
    if staged:
        for change in _staged(where, staged, parts).values():
            _apply(held, change)
    return Found(held, link, has_leftovers=bool(parts) and not staged)


class EtcdStore:
    """The configuration of a cluster, for the one who leads it."""

    is_own_file = False

    def __init__(
        self,
        etcd: client.Client,
        where: keys.Keys,
        right: fence.Fence,
        *,
        lost: Callable[[], Awaitable[str]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make one that writes by a right; ``lost`` gives what is done when that is lost."""
        self.chain: Final = chain.Chain(etcd, where.config_now, right)
        self.patience = client.PATIENCE
        """Seconds in which etcd has to have taken a change."""
        self._etcd = etcd
        self._keys = where
        self._right = right
        self._lost = lost
        self._clock = clock
        self._held: dict[str, bytes] = {}
        self._version = 0
        self._broken = ""
        self._turn = asyncio.Lock()

    async def read(self) -> tuple[dict[str, bytes], int]:
        """Return what is in etcd, and take it for what we may replace.

        A large change that somebody began and that is valid is finished. Raises Unavailable if
        there is no configuration or etcd does not answer, Damaged if it is none, NotLeading.
        """
        async with self._turn:
            found = await find(self._etcd, self._keys)
            if not found.held:
                raise errors.Unavailable(f"there is no configuration in etcd below {self._keys}")
            self.chain.adopt(found.link)
            self._held, self._broken = found.held, ""
            if self.chain.staged:
                _LOG.warning("a large change of the configuration is finished")
                await self._finish()
            elif found.has_leftovers:
                await self._fenced([self._everything_staged()])
            self._version += 1
            return dict(found.held), self._version

    async def swap(self, expected: int, changes: Mapping[str, bytes | None]) -> int:
        """Put and remove entries; see `store.Store`. Raises NotLeading too."""
        async with self._turn:
            if expected != self._version:
                raise store.Conflict(f"{self._keys} in etcd has changed since it was read")
            if self._broken:
                raise store.Conflict(self._broken)
            self._check_sizes(changes)
            if self.chain.staged:
                await self._finish()
            changing = asyncio.ensure_future(self._change(changes))
            try:
                await asyncio.shield(changing)
            except asyncio.CancelledError:
                # Whoever gives up waiting does not stop what is under way.
                while not changing.done():
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.wait({changing})
                if changing.exception() is None:
                    self._take(changes)
                raise
            self._take(changes)
            return self._version

    async def create(self, held: Mapping[str, bytes]) -> None:
        """Write the configuration of a cluster that has none in etcd.

        Raises BadInput if it has one, and what `swap` raises.
        """
        found = await find(self._etcd, self._keys)
        self.chain.adopt(found.link)
        if entries.HEAD in found.held:
            raise errors.BadInput(
                f"there is a cluster in etcd already below {self._keys}", code="already_exists"
            )
        self._held = found.held
        self._version += 1
        leftovers: dict[str, bytes | None] = dict.fromkeys(found.held)
        await self.swap(self._version, leftovers | dict(held))

    async def copy(self) -> store.Copy:
        """Return the configuration as a file, for the other candidates."""
        held = dict(self._held)

        def made() -> store.Copy:
            data = datafile.Pieces(held).render()
            return store.Copy(data, stat.S_IFREG | _MODE, "root", "root", self._clock())

        return await asyncio.to_thread(made)

    async def watch(self) -> AsyncIterator[int]:
        """Yield when somebody else has written; from then on we do not."""
        where = self._keys
        async for seen in watching.follow(
            self._etcd, where.config, messages.end_of(where.config), bare=True
        ):
            try:
                if await self._is_ours(seen):
                    continue
                leader = await self._etcd.get(where.leader)
                self._right.confirm([] if leader is None else [leader])
            except errors.Failure as error:
                # The next leader may write, and of that we are told elsewhere.
                _LOG.debug("somebody writes the configuration", reason=str(error))
            else:
                why = f"somebody else wrote the configuration below {where} in etcd"
                self._broken = (
                    f"{why}: it is left alone, and the next leader takes up what is there"
                )
                self._right.lose(why)
                yield self._version

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator["Led"]:
        """Hold the right to write, which was won before; see to etcd's room meanwhile."""
        self._right.check()
        tasks = [
            asyncio.create_task(self.chain.mind(), name="mind the configuration's chain"),
            asyncio.create_task(
                compacting.forget(self._etcd, self._keys.leader), name="forget what is past"
            ),
        ]
        try:
            yield Led(self._lost)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    # How.

    def _take(self, changes: Mapping[str, bytes | None]) -> None:
        _apply(self._held, changes)
        self._version += 1

    def _check_sizes(self, changes: Mapping[str, bytes | None]) -> None:
        for name, piece in changes.items():
            if piece is not None and len(piece) > messages.MOST_BYTES:
                raise errors.Exhausted(
                    f"{name} has {len(piece)} bytes, which is more than a value in etcd may have"
                )

    async def _change(self, changes: Mapping[str, bytes | None]) -> None:
        try:
            undo = {name: self._held.get(name) for name in changes}
            if _fits(changes) and _fits(undo):
                await self.chain.commit(
                    self._operations(changes), undo=self._operations(undo), patience=self.patience
                )
                return
            await self._stage(changes)
        except failures.Unanswered as error:
            raise errors.Unavailable(f"the configuration was not written: {error}") from error
        try:
            await self._finish()
        except errors.Failure as error:  # it is valid; moving it is for the next who comes
            _LOG.warning("a large change waits to be finished", reason=str(error))

    async def _stage(self, changes: Mapping[str, bytes | None]) -> None:
        """Put a large change beside, and make it valid."""
        groups = list(_groups(changes.items(), most=len(changes)))
        name = f"{secrets.token_hex(8)}-{len(groups)}"
        for number, group in enumerate(groups):
            await self._fenced([messages.Put(self._keys.part(name, number), _encode(dict(group)))])
        await self.chain.commit([], staged=name, undo=[self._everything_staged()])

    async def _finish(self) -> None:
        """Move a valid change's parts to where entries belong, and what nobody wants away."""
        where, staged = self._keys, self.chain.staged
        prefix = where.parts(staged)
        found = await self._etcd.range(prefix, messages.end_of(prefix))
        parts = _staged(where, staged, {item.key: item for item in found.items})
        changes = {key: piece for part in parts.values() for key, piece in part.items()}
        for group in _groups(changes.items(), most=_MOST):
            # Done twice is done once, so there is nothing to be undone.
            await self.chain.commit(self._operations(dict(group)))
        await self.chain.commit([self._everything_staged()], staged="")

    def _everything_staged(self) -> messages.Delete:
        return messages.Delete(self._keys.staged, messages.end_of(self._keys.staged))

    async def _fenced(self, operations: list[messages.Operation]) -> None:
        """Do what may be done at any time, as long as we lead."""
        self._right.check()
        outcome = await self._etcd.transact(
            messages.Transaction([self._right.condition], operations, [self._right.look])
        )
        if not outcome.held:
            self._right.confirm(outcome.found[0])

    def _operations(self, changes: Mapping[str, bytes | None]) -> list[messages.Operation]:
        return [
            messages.Delete(self._keys.entry(name))
            if piece is None
            else messages.Put(self._keys.entry(name), piece)
            for name, piece in changes.items()
        ]

    async def _is_ours(self, seen: messages.Range | messages.News) -> bool:
        """Tell whether what was seen is our own doing: our link was put with it."""
        if isinstance(seen, messages.Range):
            # Of the past only the end is known: whatever else there is was read at the start.
            items = [i for i in seen.items if i.modified > self.chain.revision]
        else:
            items = [event.item for event in seen.events]
        items = [item for item in items if not item.key.startswith(self._keys.staged)]
        latest = {item.modified for item in items if item.key == self._keys.config_now}
        if any(item.modified not in latest for item in items):
            return False
        if not latest or max(latest) <= self.chain.revision:
            return True
        async with self._turn:  # not in the middle of a change of our own
            if max(latest) <= self.chain.revision:
                return True
            link = await self._etcd.get(self._keys.config_now)
            return link is not None and self.chain.is_ours(chain.decode(link.value))


class Led:
    """The right to write, from whoever leads."""

    def __init__(self, lost: Callable[[], Awaitable[str]] | None) -> None:
        self._lost = lost

    async def lost(self) -> None:
        """Return when the leadership is lost."""
        if self._lost is None:
            await asyncio.get_running_loop().create_future()
        else:
            await self._lost()


def _apply(held: dict[str, bytes], changes: Mapping[str, bytes | None]) -> None:
    for name, piece in changes.items():
        if piece is None:
            held.pop(name, None)
        else:
            held[name] = piece


def _staged(
    where: keys.Keys, staged: str, parts: Mapping[bytes, messages.Item]
) -> dict[int, dict[str, bytes | None]]:
    """Return the parts of a valid change in order; raises Damaged if one is missing."""
    found: dict[int, dict[str, bytes | None]] = {}
    _, _, count = staged.rpartition("-")
    for number in range(int(count) if count.isdecimal() else 1):
        item = parts.get(where.part(staged, number))
        if item is None:
            raise errors.Damaged(f"part {number} of {staged} of the configuration is gone")
        try:
            decoded = _PART.decode(item.value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise errors.Damaged(f"{item.key.decode()} in etcd is damaged: {error}") from error
        found[number] = {
            name: None if bytes(piece) == _GONE else bytes(piece) for name, piece in decoded.items()
        }
    return found


def _encode(part: Mapping[str, bytes | None]) -> bytes:
    return msgspec.json.encode(
        {name: msgspec.Raw(_GONE if piece is None else piece) for name, piece in part.items()}
    )


def _fits(changes: Mapping[str, bytes | None]) -> bool:
    """Tell whether changes may be one transaction."""
    return len(changes) <= _MOST and _size(changes.items()) <= messages.MOST_BYTES


def _size(changes: Iterable[tuple[str, bytes | None]]) -> int:
    return sum(len(name) + len(piece or b"") + _OVERHEAD for name, piece in changes)


def _groups(
    changes: Iterable[tuple[str, bytes | None]], *, most: int
) -> Iterator[list[tuple[str, bytes | None]]]:
    """Yield changes in groups of at most so many, each small enough for one request."""
    group: list[tuple[str, bytes | None]] = []
    size = 0
    for change in changes:
        added = _size([change])
        if group and (len(group) >= most or size + added > messages.MOST_BYTES):
            yield group
            group, size = [], 0
        group.append(change)
        size += added
    if group:
        yield group
