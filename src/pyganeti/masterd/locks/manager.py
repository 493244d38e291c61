"""Locks as tasks use them: wait for all that is needed, work, give back.

    async with await locks.acquire("7", wanted, lambda: run.priority) as held:
        ...
        held.narrow(less)

A task that is cancelled while it waits leaves the queue; one that is cancelled in the very moment
in which it is granted gives everything back. Nothing here waits for anything but other owners.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from pyganeti.masterd.locks import levels, table


@dataclass(frozen=True, slots=True)
class Row:
    """One lock that is held or waited for, as the query resource "lock" shows it.

    ``mode`` is None and ``owner`` empty while nobody holds it; ``pending`` has a mode and those who
    wait for it in that mode, best first.
    """

    name: str
    mode: str | None
    owner: list[str]
    pending: list[tuple[str, list[str]]]


@dataclass(slots=True)
class _Waiter:
    granted: asyncio.Future[None]
    priority: Callable[[], int]


class Held:
    """What one owner got, until `release`, or the end of ``async with``."""

    def __init__(self, manager: "Manager", owner: str, priority: Callable[[], int]) -> None:
        self._manager = manager
        self._owner = owner
        self._priority = priority
        self._is_held = True

    def release(self) -> None:
        """Give everything back; twice does no harm."""
        if self._is_held:
            self._is_held = False
            self._manager.take_back(self._owner)

    def narrow(self, wanted: levels.Wanted) -> None:
        """Keep only this much: fewer names, or shared what was exclusive.

        Raises ValueError if that is more than what is held.
        """
        if not self._is_held:
            raise ValueError(f"{self._owner} holds no locks")
        self._manager.narrow(self._owner, wanted)

    async def exchange(self, wanted: levels.Wanted) -> None:
        """Give everything back and wait for something else, without losing the place in the order.

        If it is cancelled nothing is held. Raises ValueError if nothing is held before.
        """
        if not self._is_held:
            raise ValueError(f"{self._owner} holds no locks")
        try:
            await self._manager.exchange(self._owner, wanted, self._priority)
        except asyncio.CancelledError:
            self._is_held = False
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class Manager:
    """All locks of a cluster; for one event loop."""

    def __init__(self) -> None:
        self._table: Final = table.Table()
        self._waiters: Final[dict[str, _Waiter]] = {}

    async def acquire(
        self, owner: str, wanted: levels.Wanted, priority: Callable[[], int] | int = 0
    ) -> Held:
        """Wait until all of this is had.

        ``owner`` is what people see, a job's number as a rule. A ``priority`` that may change is a
        function: it is asked whenever somebody gives something back, and on `reconsider`. Raises
        ValueError if this owner waits already, or holds something.
        """
        asked = priority if callable(priority) else _always(priority)
        self._refresh()
        await self._granted(owner, asked, self._table.request(owner, wanted, asked()))
        return Held(self, owner, asked)

    def reconsider(self) -> None:
        """Ask for all priorities anew, and grant what that makes possible."""
        self._refresh()

    def take_back(self, owner: str) -> None:
        """Have an owner hold, and wait for, nothing any more. `Held.release` is the usual way."""
        self._waiters.pop(owner, None)
        self._refresh()
        self._grant(self._table.release(owner))

    def narrow(self, owner: str, wanted: levels.Wanted) -> None:
        """Leave an owner only this much of what it holds; see `Held.narrow`."""
        self._refresh()
        self._grant(self._table.narrow(owner, wanted))

    async def exchange(
        self, owner: str, wanted: levels.Wanted, priority: Callable[[], int]
    ) -> None:
        """Have an owner wait for something else than what it holds; see `Held.exchange`."""
        self._refresh()
        await self._granted(owner, priority, self._table.exchange(owner, wanted, priority()))

    def describe(self) -> list[Row]:
        """Return every lock that is held or waited for, in the order of levels and names."""
        owners: dict[tuple[int, str, str], list[tuple[str, levels.Mode]]] = {}
        pending: dict[tuple[int, str, str], list[tuple[str, list[str]]]] = {}
        for owner, wanted in self._table.held:
            for key, mode in _locks(wanted):
                owners.setdefault(key, []).append((owner, mode))
        for waiting in self._table.waiting:
            for key, mode in _locks(waiting.wanted):
                pending.setdefault(key, []).append((mode.value, [waiting.owner]))
        rows = []
        for key in sorted({*owners, *pending}):
            held = owners.get(key, [])
            is_exclusive = any(mode is levels.Mode.EXCLUSIVE for _, mode in held)
            mode = levels.Mode.EXCLUSIVE if is_exclusive else levels.Mode.SHARED
            rows.append(
                Row(
                    name=key[2],
                    mode=mode.value if held else None,
                    owner=[owner for owner, _ in held],
                    pending=pending.get(key, []),
                )
            )
        return rows

    async def _granted(self, owner: str, priority: Callable[[], int], granted: list[str]) -> None:
        """Wait until an owner who has asked is granted, after others that were at once."""
        waiter = _Waiter(asyncio.get_running_loop().create_future(), priority)
        self._waiters[owner] = waiter
        self._grant(granted)
        if not waiter.granted.done():
            try:
                await waiter.granted
            except asyncio.CancelledError:
                self.take_back(owner)
                raise

    def _refresh(self) -> None:
        for owner, waiter in list(self._waiters.items()):
            self._grant(self._table.set_priority(owner, waiter.priority()))

    def _grant(self, owners: list[str]) -> None:
        for owner in owners:
            waiter = self._waiters.pop(owner)
            if not waiter.granted.done():
                waiter.granted.set_result(None)


def _always(priority: int) -> Callable[[], int]:
    return lambda: priority


def _locks(wanted: levels.Wanted) -> list[tuple[tuple[int, str, str], levels.Mode]]:
    """Return each single lock in a request, the level's whole set before its names."""
    found = []
    for level, claim in wanted.items():
        if isinstance(claim.names, levels.All):
            found.append(((int(level), "", levels.lock_name(level, claim.names)), claim.mode))
        else:
            found += [
                ((int(level), name, levels.lock_name(level, name)), claim.mode)
                for name in claim.names
            ]
    return found
