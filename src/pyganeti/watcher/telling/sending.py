"""Posts events to one receiver, one after the other, until each is taken or given up.

What an answer means: 2xx, it is taken. 408, 425, 429 and 5xx, later: it is tried again, ``retries``
times. Anything else, redirects among them, is a no: it is given up. No answer at all (no
connection, no valid certificate, too slow) says nothing about the event: it is tried again for as
long as it is to be kept. Pauses between tries grow; ``Retry-After`` is heeded, within bounds. Each
receiver has its own sender, so that one that is dead holds up nobody else.
"""

import asyncio
import enum
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp

import pyganeti
from pyganeti.base import log
from pyganeti.watcher.telling import outbox, receivers, signing

_LOG: Final = log.get(__name__)

PAUSES: Final = (1.0, 300.0)
_LONGEST_WISH: Final = 3600.0
"""Seconds of a ``Retry-After`` that are heeded."""

_ANSWER: Final = 2048
"""Bytes of an answer that are read, for the log."""

_SHOWN: Final = 200
_LATER: Final = frozenset({408, 425, 429})
_OK: Final = range(200, 300)


class Verdict(enum.Enum):
    """What became of one try."""

    TAKEN = "taken"
    LATER = "later"
    NO = "no"
    UNREACHED = "unreached"


@dataclass(frozen=True, slots=True)
class Tried:
    """One try: what became of it, why, and how long the receiver wants us to wait."""

    verdict: Verdict
    why: str = ""
    wish: float = 0.0


Observed = Callable[[str, str], None]
"""Is told of a receiver and what happened: delivered, refused, given-up, dropped, try-failed."""


async def post(
    session: aiohttp.ClientSession, receiver: receivers.Receiver, owed: outbox.Owed, now: float
) -> Tried:
    """Try once. Never raises for the receiver's doing."""
    headers = {
        **dict(receiver.headers),
        "Content-Type": "application/json",
        "User-Agent": f"ganeti-watcher/{pyganeti.__version__}",
        "X-Ganeti-Event": owed.kind,
        "X-Ganeti-Id": owed.id,
    }
    if receiver.secret:
        headers[signing.HEADER] = signing.signature(receiver.secret, int(now), owed.body)
    try:
        async with (
            asyncio.timeout(receiver.timeout),
            session.post(
                receiver.url,
                data=owed.body,
                headers=headers,
                ssl=True if receiver.secured is None else receiver.secured,
                allow_redirects=False,
            ) as response,
        ):
            said = await response.content.read(_ANSWER)
            return _tried(response.status, response.headers.get("Retry-After", ""), said)
    except TimeoutError:
        return Tried(Verdict.UNREACHED, f"no answer after {receiver.timeout:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Tried(Verdict.UNREACHED, str(error) or type(error).__name__)


def _tried(status: int, wish: str, said: bytes) -> Tried:
    if status in _OK:
        return Tried(Verdict.TAKEN)
    words = " ".join(said.decode(errors="replace").split())[:_SHOWN]
    why = f"HTTP {status}{': ' if words else ''}{words}"
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        seconds = min(float(wish), _LONGEST_WISH) if wish.isascii() and wish.isdigit() else 0.0
        return Tried(Verdict.LATER, why, seconds)
    return Tried(Verdict.NO, why)


class Sender:
    """Empties one outbox; `run` it in a task."""

    def __init__(
        self,
        receiver: receivers.Receiver,
        box: outbox.Outbox,
        *,
        observed: Observed,
        pauses: tuple[float, float] = PAUSES,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.receiver = receiver
        self.box = box
        self._observed = observed
        self._pauses = pauses
        self._clock = clock
        self._steady = steady
        self._pause = pauses[0]
        self._lock = asyncio.Lock()
        self._come = asyncio.Event()
        self.idle = asyncio.Event()
        """Set while nothing is owed."""

        self.tried = asyncio.Event()
        """Set once a try has failed, until one succeeds: the rest is for later."""

    async def open(self) -> None:
        """Take up what is owed."""
        async with self._lock:
            await asyncio.to_thread(self.box.load)
        self._come.set()

    async def owe(self, id_: str, kind: str, body: bytes) -> None:
        """Owe an event; returns when it is on the disk, if that takes it."""
        async with self._lock:
            before = self.box.dropped
            await asyncio.to_thread(self.box.put, id_, kind, body)
        for _ in range(self.box.dropped - before):
            self._observed(self.receiver.name, "dropped")
        if self.box.dropped != before:
            _LOG.error("too much is owed; the oldest is dropped", webhook=self.receiver.name)
        self.idle.clear()
        self._come.set()

    async def run(self) -> None:
        """Send, for ever."""
        connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=15.0)
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        ) as session:
            while True:
                owed = self.box.first
                if owed is None:
                    self.idle.set()
                    await self._come.wait()
                    self._come.clear()
                    continue
                await self._send(session, owed)

    async def _send(self, session: aiohttp.ClientSession, owed: outbox.Owed) -> None:
        """Bring one event to its end."""
        left = self.receiver.retries
        while True:
            tried = await post(session, self.receiver, owed, self._clock())
            if tried.verdict is Verdict.TAKEN:
                if self.tried.is_set():
                    _LOG.info("a webhook takes events again", webhook=self.receiver.name)
                self.tried.clear()
                self._pause = self._pauses[0]
                await self._settle(owed, "delivered")
                return
            self._observed(self.receiver.name, "try-failed")
            if tried.verdict is Verdict.NO:
                await self._give_up(owed, "refused", tried.why)
                return
            left -= tried.verdict is Verdict.LATER
            if left < 0 or self._steady() - owed.since > self.receiver.keep:
                await self._give_up(owed, "given-up", tried.why)
                # The next one waits no shorter: the receiver is no better.
            elif not self.tried.is_set():
                _LOG.warning(
                    "a webhook takes no events; they are tried again",
                    webhook=self.receiver.name,
                    why=tried.why,
                )
            self.tried.set()
            await asyncio.sleep(max(self._pause * random.uniform(0.8, 1.2), tried.wish))
            self._pause = min(self._pause * 2, self._pauses[1])
            if self.box.first is not owed:
                return

    async def _give_up(self, owed: outbox.Owed, outcome: str, why: str) -> None:
        _LOG.error(
            "an event was not delivered",
            webhook=self.receiver.name,
            event=owed.kind,
            id=owed.id,
            outcome=outcome,
            why=why,
        )
        await self._settle(owed, outcome)

    async def _settle(self, owed: outbox.Owed, outcome: str) -> None:
        async with self._lock:
            await asyncio.to_thread(self.box.remove, owed)
        self._observed(self.receiver.name, outcome)
