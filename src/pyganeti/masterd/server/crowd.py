"""All clients together, and how much may be held for them: no crowd takes the memory or the turn.

What came in and is not done, and what went out and is not taken, is counted for each client and
for all. When it is too much for all, clients are let go, those first that have shown no sign of
life for longest: who takes his answers and finishes his requests is not hurt by those who do not.
Nobody is let go who has shown one within the last moment, unless it is twice too much.
"""

import time
from collections.abc import Iterator
from typing import Final, Protocol

from pyganeti.base import log

_LOG = log.get(__name__)

INCOMING: Final = 64 * 1024 * 1024
"""Bytes of requests, unfinished or waiting, that are held at a time."""

OUTGOING: Final = 128 * 1024 * 1024
"""Bytes of answers that wait to be taken."""


GRACE: Final = 1.0
"""Seconds for which a sign of life counts as a fresh one."""


class Member(Protocol):
    """A client."""

    @property
    def alive_at(self) -> float:
        """When it last sent or took something."""

    def drop(self) -> None:
        """Let go of it, with all that is held for it."""


class Crowd:
    """Counts for each client, and lets go of some when it is too much."""

    def __init__(
        self, incoming: int = INCOMING, outgoing: int = OUTGOING, grace: float = GRACE
    ) -> None:
        self._grace = grace
        self._incoming = incoming
        self._outgoing = outgoing
        self._in: dict[Member, int] = {}
        self._out: dict[Member, int] = {}
        self._all_in = 0
        self._all_out = 0

    def hold(self, member: Member, length: int) -> bool:
        """Count bytes that came in; return whether the client is still there after that."""
        self._in[member] = self._in.get(member, 0) + length
        self._all_in += length
        return self._relieve(member)

    def let_go(self, member: Member, length: int) -> None:
        """Count bytes that came in and are done."""
        if member in self._in:
            self._in[member] -= length
            self._all_in -= length

    def send(self, member: Member, length: int) -> bool:
        """Count bytes that go out; return whether the client is still there after that."""
        self._out[member] = self._out.get(member, 0) + length
        self._all_out += length
        return self._relieve(member)

    def taken(self, member: Member, length: int) -> None:
        """Count bytes that went out."""
        if member in self._out:
            self._out[member] -= length
            self._all_out -= length

    def forget(self, member: Member) -> None:
        """Count nothing for a client any more."""
        self._all_in -= self._in.pop(member, 0)
        self._all_out -= self._out.pop(member, 0)

    def relieve(self) -> None:
        """Let go of clients, if it is too much for all."""
        while (held := self._crowded(1)) is not None:
            weariest = min(_holders(held), key=lambda other: other.alive_at)
            is_fresh = time.monotonic() - weariest.alive_at < self._grace
            if is_fresh and self._crowded(2) is None:
                return
            _LOG.warning("a client is let go: too much is held for all of them")
            self.forget(weariest)
            weariest.drop()

    def _relieve(self, member: Member) -> bool:
        self.relieve()
        return member in self._in or member in self._out

    def _crowded(self, times: int) -> dict[Member, int] | None:
        """Return those for whom too much is held, so many times as much as may be."""
        if self._all_in > times * self._incoming:
            return self._in
        return self._out if self._all_out > times * self._outgoing else None


def _holders(held: dict[Member, int]) -> Iterator[Member]:
    return (member for member, length in held.items() if length)
