"""Calls to whichever member of an etcd answers.

One member is asked until it fails to answer; then the next, until one does or the caller's time is
over. Where all of them are slow, each has longer in the next round. So a call may be carried out
more than once, also after it was given up: whoever changes something makes that harmless, by
conditions that hold only once. A member that does not answer costs the time of one attempt at most;
one that refuses connections costs nothing.

In failure: `failures.Unanswered` where nobody answered in time, and then nobody knows whether it
was done; otherwise what etcd said. Nothing is kept waiting for etcd, and nothing is cached.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from pyganeti.base import log
from pyganeti.clients.etcd import access, encoding, failures, messages, stubs

_LOG = log.get(__name__)

PATIENCE: Final = 6.0
"""Seconds that a call may take in all, where nobody says otherwise."""

_ATTEMPT: Final = 2.0
_PAUSE: Final = 0.1
_PAGE: Final = 200
_BARE_PAGE: Final = 5000
_PAGE_PATIENCE: Final = 30.0
_HAS_LEADER: Final = (("hasleader", "true"),)
"""Has a member that hears of no majority break a watch off."""

_GRACE: Final = 0.5
"""Seconds after which a call that should have timed out is given up: a clock may have been set."""

_RENEWAL: Final = 5.0
"""Seconds between two times that certificates are read anew where nobody answers."""

_FIRST_WORD: Final = 5.0
_ROUNDS: Final = 5
"""How often a range is begun anew whose past was forgotten meanwhile."""

_Call = Callable[[stubs.Stubs, float], Awaitable[Any]]


@dataclass(slots=True)
class Counts:
    """What was asked, and how that went, since the start."""

    calls: int = 0
    transactions: int = 0
    unanswered: int = 0
    refused: int = 0
    changes_of_member: int = 0
    undecided: int = 0
    """Changes of which nobody knew whether they took effect, as those count who make them."""
    undone: int = 0
    """Those that did, and were taken back."""
    last_seconds: float = 0.0
    """How long the last call took that was answered."""


class Client:
    """One client, as ``async with``: connections are made when they are needed."""

    def __init__(
        self,
        chosen: access.Access,
        *,
        attempt: float = _ATTEMPT,
        pause: float = _PAUSE,
        renewal: float = _RENEWAL,
    ) -> None:
        self.access: Final = chosen
        self.counts: Final = Counts()
        self._attempt = attempt
        self._pause = pause
        self._stubs: dict[access.Endpoint, stubs.Stubs] = {}
        self._turn = 0
        self._is_failing = False
        self._renewal = renewal
        self._renewed = 0.0

    async def __aenter__(self) -> Self:
        """Open nothing yet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Break off what is under way."""
        for held in self._stubs.values():
            await held.close()
        self._stubs.clear()

    @property
    def endpoint(self) -> access.Endpoint:
        """The member that is asked first."""
        endpoints = self.access.endpoints
        return endpoints[self._turn % len(endpoints)]

    # Keys.

    async def transact(
        self, asked: messages.Transaction, *, patience: float = PATIENCE
    ) -> messages.Outcome:
        """Carry a transaction out, maybe more than once."""
        request = encoding.transaction(asked)
        self.counts.transactions += 1
        answer, times = await self._ask_counting(
            lambda s, t: s.kv.Txn(request, timeout=t), patience, is_repeatable=False
        )
        return encoding.outcome(answer, times)

    async def get(self, key: bytes, *, patience: float = PATIENCE) -> messages.Item | None:
        """Return one key as it is now, None if it is not there."""
        request = encoding.range_of(key, b"")
        answer = await self._ask(lambda s, t: s.kv.Range(request, timeout=t), patience)
        found = encoding.items(answer.kvs)
        return found[0] if found else None

    async def range(
        self,
        key: bytes,
        end: bytes,
        *,
        bare: bool = False,
        patience: float = _PAGE_PATIENCE,
    ) -> messages.Range:
        """Return all from a key up to ``end`` as they were at one moment; ``bare`` has no values.

        Any number is read, in pages. Raises Compacted if that moment is forgotten time and again.
        """
        for again in reversed(range(_ROUNDS)):
            try:
                return await self._range(key, end, bare=bare, patience=patience)
            except failures.Compacted:
                if not again:
                    raise
        raise AssertionError("no round")

    async def compact(self, revision: int) -> None:
        """Have etcd forget what was before a revision; nothing if it has."""
        request = encoding.compaction(revision)
        try:
            await self._ask(lambda s, t: s.kv.Compact(request, timeout=t), PATIENCE)
        except failures.Compacted:
            return

    # Leases.

    async def grant(self, lease: int, seconds: int, *, patience: float = PATIENCE) -> None:
        """Have there be a lease; its number is the caller's choice, so that asking twice is once.

        Raises Unanswered.
        """
        request = encoding.grant(lease, seconds)
        try:
            await self._ask(lambda s, t: s.lease.LeaseGrant(request, timeout=t), patience)
        except failures.Taken:
            return

    async def renew(self, lease: int, *, patience: float = PATIENCE) -> float:
        """Have a lease begin anew; return how many seconds it lasts. Raises Gone."""
        request = encoding.renewal(lease)

        async def renewed(held: stubs.Stubs, timeout: float) -> Any:  # noqa: ANN401
            call = held.lease.LeaseKeepAlive(timeout=timeout)
            try:
                await call.write(request)
                return await call.read()
            finally:
                call.cancel()

        answer = await self._ask(renewed, patience)
        if answer is stubs.EndOfStream:
            raise failures.Unanswered("etcd ended without a word")
        if answer.TTL <= 0:
            raise failures.Gone("the lease is over")
        return float(answer.TTL)

    async def revoke(self, lease: int, *, patience: float = PATIENCE) -> None:
        """End a lease, and what goes with it; nothing if there is none."""
        request = encoding.revocation(lease)
        try:
            await self._ask(lambda s, t: s.lease.LeaseRevoke(request, timeout=t), patience)
        except failures.Gone:
            return

    async def remaining(self, lease: int, *, patience: float = PATIENCE) -> float:
        """Return how many seconds a lease still lasts; 0 if there is none."""
        request = encoding.remainder(lease)
        answer = await self._ask(lambda s, t: s.lease.LeaseTimeToLive(request, timeout=t), patience)
        return max(float(answer.TTL), 0.0)

    # News.

    async def watch(
        self, key: bytes, end: bytes, since: int, *, only_deletions: bool = False
    ) -> AsyncIterator[messages.News]:
        """Yield what happens from a revision on; at first, once, that it is being watched.

        It ends with an error: Compacted if ``since`` is too long ago, Unanswered if the member is
        lost; then another one is asked next time. `watching.follow` goes on by itself.
        """
        held = self._held(self.endpoint)
        call = held.watch.Watch(metadata=_HAS_LEADER)
        try:
            await call.write(encoding.watch(key, end, since, only_deletions=only_deletions))
            async with asyncio.timeout(_FIRST_WORD):
                answer = await call.read()
            while True:
                encoding.check_watch(answer, since)
                yield encoding.news(answer)
                answer = await call.read()
        except (TimeoutError, failures.Unanswered, asyncio.InvalidStateError) as error:
            self._turn += 1
            raise failures.Unanswered(str(error) or "etcd does not say that it watches") from error
        except stubs.RpcError as error:
            failure = failures.understood(error)
            if isinstance(failure, failures.Unanswered):
                self._turn += 1
            raise failure from error
        finally:
            call.cancel()

    # Members.

    async def member(
        self, endpoint: access.Endpoint, *, patience: float = _ATTEMPT
    ) -> messages.Member:
        """Return how one certain member is; raises Unanswered, Denied."""
        held = self._held(endpoint)
        try:
            status = await held.maintenance.Status(encoding.status_question(), timeout=patience)
            alarms = await held.maintenance.Alarm(encoding.alarms_question(), timeout=patience)
        except stubs.RpcError as error:
            raise failures.understood(error) from error
        return encoding.member(status, alarms)

    # How.

    async def _range(
        self, key: bytes, end: bytes, *, bare: bool, patience: float
    ) -> messages.Range:
        found: list[messages.Item] = []
        revision = 0
        while True:
            page = _BARE_PAGE if bare else _PAGE
            request = encoding.range_of(key, end, limit=page, revision=revision, bare=bare)
            answer = await self._ask(lambda s, t, r=request: s.kv.Range(r, timeout=t), patience)  # type: ignore[misc]
            revision = revision or answer.header.revision
            found += encoding.items(answer.kvs)
            if not answer.more:
                return messages.Range(tuple(found), revision)
            key = found[-1].key + b"\0"

    async def _ask(self, call: _Call, patience: float) -> Any:  # noqa: ANN401
        """Ask one member after the other until one answers; raises Unanswered when time is over."""
        answer, _ = await self._ask_counting(call, patience)
        return answer

    async def _ask_counting(
        self, call: _Call, patience: float, *, is_repeatable: bool = True
    ) -> tuple[Any, int]:
        """Do the same; return also how often it was asked.

        What is not repeatable is refused for certain only if it was refused the first time.
        """
        began = time.monotonic()
        self.counts.calls += 1
        said = ""
        tried = 0
        while (left := patience - (time.monotonic() - began)) > 0:
            endpoint = self.endpoint
            seconds = min(left, self._attempt * 2 ** (tried // len(self.access.endpoints)))
            try:
                async with asyncio.timeout(seconds + _GRACE):
                    answer = await call(self._held(endpoint), seconds)
            except stubs.RpcError as error:
                failure = failures.understood(error)
            except (TimeoutError, asyncio.InvalidStateError):
                # The latter of a stream that had ended before it was used.
                failure = failures.Unanswered("the connection was lost")
            else:
                self.counts.last_seconds = time.monotonic() - began
                self._tell(None)
                return answer, tried + 1
            if not isinstance(failure, failures.Unanswered):
                self.counts.refused += 1
                if tried and not is_repeatable:
                    # This time it was refused; what became of the time before is not known.
                    raise failures.Unanswered(str(failure))
                raise failure
            said = f"{endpoint}: {failure}"
            if self.endpoint == endpoint:
                self._turn += 1
                self.counts.changes_of_member += 1
            tried += 1
            if tried % len(self.access.endpoints) == 0:
                await self._renew()
                await asyncio.sleep(self._pause)
        self.counts.unanswered += 1
        self._tell(said)
        raise failures.Unanswered(f"etcd has not answered within {patience:g} s; {said}")

    async def _renew(self) -> None:
        """Have connections made anew with certificates as they are now: they may have expired."""
        now = time.monotonic()
        if self.access.certificate is None or now - self._renewed < self._renewal:
            return
        self._renewed = now
        old, self._stubs = self._stubs, {}
        for held in old.values():
            await held.close()

    def _held(self, endpoint: access.Endpoint) -> stubs.Stubs:
        held = self._stubs.get(endpoint)
        if held is None:
            held = self._stubs[endpoint] = stubs.connect(endpoint, self.access)
        return held

    def _tell(self, trouble: str | None) -> None:
        """Say it once when etcd is lost, and when it is back."""
        if trouble is not None and not self._is_failing:
            self._is_failing = True
            _LOG.error("etcd does not answer", last=trouble)
        elif trouble is None and self._is_failing:
            self._is_failing = False
            _LOG.warning("etcd answers again", member=str(self.endpoint))
