"""Getting to the qemu behind one name, and staying with it: attempts, pauses, one connection.

There is one approach for a name, whatever number of its sockets there are, hence one session for a
qemu. Until the directory tells that the file is gone nobody is given up, not even if it is not to
be found: what refuses is tried again with growing pauses, and a qemu that is busy or hangs is
waited for with the connection left open. A connection that did not last makes the pauses no
shorter.
"""

import asyncio
import time
from typing import Final, Protocol

from pyganeti.base import log, poller
from pyganeti.kvmd import guest as guests
from pyganeti.kvmd.watching import backoff, connection
from pyganeti.model import evidence

_LOG = log.get(__name__)

GREETING_TIMEOUT: Final = 3.0
"""Seconds without a greeting after which a socket is called busy."""

BUSY: Final = "busy"
UNANSWERED: Final = "no answer"
_WORTH_A_WORD: Final = 4
"""Refusals before they are spoken of: qemu itself refuses for a moment while it starts."""
_QUIET: Final = frozenset({connection.Reason.REFUSED, connection.Reason.BACKLOG})

_LASTING: Final = backoff.LAST
"""Seconds for which a connection must last to count as a success."""


class Host(Protocol):
    """What an approach needs of the watch that it belongs to."""

    @property
    def poller(self) -> poller.Poller:
        """The one that connections are to be read by."""

    @property
    def dirfd(self) -> int | None:
        """The control directory's descriptor, None while it is missing."""

    def may_connect(self) -> bool:
        """Tell whether a descriptor is to be had."""

    def on_connected(self, approach: "Approach", /) -> None:
        """Take note of a connection; `on_disconnected` follows some time."""

    def on_attached(self, approach: "Approach", opened: connection.Connection, /) -> guests.Guest:
        """Return the guest whose events flow from now on."""

    def on_status(self, guest: guests.Guest, status: str, /) -> None:
        """Take note of the run state that qemu told."""

    def on_event(self, guest: guests.Guest, event: evidence.QmpEvent, /) -> None:
        """Take note of an event that bears on a stop."""

    def on_disconnected(self, approach: "Approach", ended: connection.Connection, /) -> None:
        """Take note that the connection to `Approach.guest`, if any, has ended."""

    def on_obstacle(self, approach: "Approach", /) -> None:
        """Take note of an attempt that failed; `Approach.reason` says why, if worth saying."""


class Approach:
    """The way to one name's qemu. ``sockets`` are its files that are there, most wanted first."""

    __slots__ = (
        "_attached_at",
        "_host",
        "attempts",
        "connection",
        "guest",
        "name",
        "reason",
        "since",
        "sockets",
        "timer",
    )

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        self.name = name
        self.sockets: tuple[str, ...] = ()
        self.connection: connection.Connection | None = None
        self.guest: guests.Guest | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.attempts = 0
        self.since = time.time()
        self.reason = ""
        self._attached_at = 0.0

    def try_now(self) -> None:
        """Attempt to connect unless there is a connection."""
        self._cancel()
        dirfd = self._host.dirfd
        if self.connection is not None or dirfd is None or not self.sockets:
            return
        if not self._host.may_connect():
            self._obstacle(connection.Reason.EXHAUSTED, "")
            return
        obstacle, detail = connection.Reason.MISSING, ""
        for socket in self.sockets:
            try:
                opened = connection.Connection.open(self._host.poller, dirfd, socket, self)
            except connection.Refused as error:
                if error.reason is not connection.Reason.MISSING:
                    obstacle, detail = error.reason, error.detail
                continue
            self.connection = opened
            self._host.on_connected(self)
            self.timer = asyncio.get_running_loop().call_later(
                GREETING_TIMEOUT, self._on_no_greeting
            )
            return
        self._obstacle(obstacle, detail)

    def retry(self) -> None:
        """Attempt to connect after the pause that is due."""
        self._cancel()
        self.attempts += 1
        self.timer = asyncio.get_running_loop().call_later(
            backoff.pause(self.attempts), self.try_now
        )

    def start_over(self) -> None:
        """Attempt at once, with short pauses again: something about the file has changed."""
        self.attempts = 0
        self.try_now()

    def close(self) -> None:
        """Leave without telling anybody."""
        self._cancel()
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def on_attached(self, opened: connection.Connection) -> None:
        """Take note that events flow."""
        self._cancel()
        if self.reason:
            _LOG.info("reached at last", name=self.name, attempts=self.attempts)
        self.reason = ""
        self._meet(opened)

    def on_status(self, opened: connection.Connection, status: str) -> None:
        """Pass the run state on."""
        del opened
        if self.guest is not None:
            self._host.on_status(self.guest, status)

    def on_event(self, opened: connection.Connection, event: evidence.QmpEvent) -> None:
        """Pass the event on; one may come before the answer that attaches us."""
        self._host.on_event(self._meet(opened), event)

    def on_garbage(self, opened: connection.Connection, reason: str) -> None:
        """Say, once in a connection's life, that not all of it is QMP."""
        _LOG.warning("not QMP, skipped", name=self.name, socket=opened.name, what=reason)

    def on_closed(
        self, opened: connection.Connection, reason: connection.Reason, detail: str
    ) -> None:
        """Take note of the end of the connection."""
        self._cancel()
        self.connection = None
        was_attached = self.guest is not None
        if was_attached:
            self.since = time.time()
            if time.monotonic() - self._attached_at >= _LASTING:
                self.attempts = 0
        self._host.on_disconnected(self, opened)
        self.guest = None
        if not self.sockets:
            return
        if reason is not connection.Reason.ENDED:
            self._obstacle(reason, detail or opened.name)
        elif not was_attached:
            self._obstacle(reason, "before it had greeted")
        else:
            self.retry()

    def _meet(self, opened: connection.Connection) -> guests.Guest:
        if self.guest is None:
            self._attached_at = time.monotonic()
            self.guest = self._host.on_attached(self, opened)
        return self.guest

    def _on_no_greeting(self) -> None:
        self.timer = None
        if self.connection is None or self.connection.is_attached:
            return
        if self.connection.is_greeted:
            self._note(UNANSWERED, "a greeting but nothing more: qemu hangs; waiting")
        else:
            self._note(BUSY, "no greeting: another client is served, or qemu hangs; waiting")
        self._host.on_obstacle(self)

    def _obstacle(self, reason: connection.Reason, detail: str) -> None:
        if reason is not connection.Reason.MISSING:  # the directory is about to tell
            self._note(reason, detail)
        self._host.on_obstacle(self)
        self.retry()

    def _note(self, reason: str, detail: str) -> None:
        if reason == self.reason:
            return
        if reason in _QUIET and self.attempts < _WORTH_A_WORD:
            return
        self.reason = str(reason)
        if reason != connection.Reason.EXHAUSTED:
            _LOG.warning("a socket cannot be used yet", name=self.name, why=reason, detail=detail)

    def _cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
