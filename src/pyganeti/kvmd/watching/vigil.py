"""Guests that nobody is connected to: whether they have ended, or are only out of reach.

A closed connection alone is not an end. Where the process can be seen, it decides; where it cannot
(it is in another pid namespace), the socket does: as long as somebody listens there the guest may
be alive, with another client in our place. Whoever has ended is handed to the inquest; everybody
else is waited for, without a limit, at growing intervals where nothing tells us.

Each wait looks first whether the guest has been reached or judged meanwhile, so that waits that
overlap do no harm.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from pyganeti.base import log
from pyganeti.kvmd import guest as guests
from pyganeti.kvmd import identity
from pyganeti.kvmd import place as places
from pyganeti.kvmd.journal import journal
from pyganeti.kvmd.judging import inquest, qemuprocess
from pyganeti.kvmd.watching import backoff, connection

_LOG = log.get(__name__)

_DRAIN: Final = 1.0
"""Seconds for the last events of a qemu whose process has ended before its connection did."""

_UNSEEN_GRACE: Final = 3.0
"""Seconds for a guest without a known process to be reached again before we look at its socket."""

_ALIVE_AGAIN: Final = 0.25
"""Seconds between the end of a connection and a look at the process; then longer, if need be."""


class Vigil:
    """Looks after guests without a connection, and takes up their end."""

    def __init__(
        self,
        *,
        place: places.Place,
        processes: qemuprocess.QemuProcesses,
        inquest: inquest.Inquest,
        kept: journal.Journal,
    ) -> None:
        self._place = place
        self._processes = processes
        self._inquest = inquest
        self._journal = kept

    def on_disconnected(self, guest: guests.Guest) -> None:
        """Judge a guest whose connection has just ended, if its qemu has too; else wait."""
        if self._has_ended(guest):
            self._inquest.judge_when_known(guest, attached_at_end=True)
        elif guest.pid is None:
            self._later(_UNSEEN_GRACE, self._look_at_socket, guest, 1)
        else:
            self._later(_ALIVE_AGAIN, self._look_at_process, guest, 1)

    def on_process_end(self, guest: guests.Guest) -> None:
        """Judge a guest whose process has ended, once its last events are read."""
        if guest.phase is not guests.Phase.WATCHED:
            return
        if guest.connection is None:
            self._inquest.judge_when_known(guest, attached_at_end=_was_just_attached(guest))
        else:  # its last events, and then the end of the stream, are still to be read
            asyncio.get_running_loop().call_later(_DRAIN, self._judge_drained, guest)

    def look_at(self, guest: guests.Guest) -> None:
        """Judge a guest that may have ended unseen; do nothing while it is connected."""
        if not _is_missed(guest):
            return
        if guest.pid is None:
            self._later(_UNSEEN_GRACE, self._look_at_socket, guest, 1)
        elif self._has_ended(guest):
            self._inquest.judge_when_known(guest, attached_at_end=False)
        elif not self._processes.is_held(guest.pid):
            self._look_at_process(guest, 2)

    def _judge_drained(self, guest: guests.Guest) -> None:
        self._inquest.judge_when_known(guest, attached_at_end=True)

    def _look_at_process(self, guest: guests.Guest, looks: int) -> None:
        """Look at a process that outlives its connection; again only if nobody else will tell."""
        if not _is_missed(guest):
            return
        if self._has_ended(guest):
            self._inquest.judge_when_known(guest, attached_at_end=looks == 1)
            return
        if looks == 1:
            self._leave(guest)
        if guest.pid is not None and not self._processes.is_held(guest.pid):
            pause = backoff.pause(looks, first=_ALIVE_AGAIN)
            self._later(pause, self._look_at_process, guest, looks + 1)

    def _look_at_socket(self, guest: guests.Guest, looks: int) -> None:
        """Judge a guest without a known process, unless somebody listens on its socket still."""
        if not _is_missed(guest):
            return
        if self._place.dirfd is None or self._may_be_served(guest):
            if looks == 1:
                self._leave(guest)
            pause = backoff.pause(looks, first=_UNSEEN_GRACE)
            self._later(pause, self._look_at_socket, guest, looks + 1)
            return
        attached_at_end = looks == 1 and guest.lost_at > 0
        self._inquest.judge_when_known(guest, attached_at_end=attached_at_end)

    def _leave(self, guest: guests.Guest) -> None:
        """Note that what it does from now on goes unseen."""
        guest.whole = False
        self._journal.remember(guest.row())
        if not guest.was_left:
            guest.was_left = True
            _LOG.warning("qemu lives but its connection has ended", name=guest.name, pid=guest.pid)

    def _has_ended(self, guest: guests.Guest) -> bool:
        return guest.pid is not None and self._processes.has_ended(guest.pid, guest.ticks)

    def _may_be_served(self, guest: guests.Guest) -> bool:
        dirfd = self._place.dirfd
        found = connection.listened_to(dirfd, guest.socket) if dirfd is not None else None
        return found is not None and identity.is_of_socket(
            guest.key, found.st_ino, found.st_mtime_ns
        )

    @staticmethod
    def _later(
        seconds: float, look: Callable[[guests.Guest, int], None], guest: guests.Guest, looks: int
    ) -> None:
        asyncio.get_running_loop().call_later(seconds, look, guest, looks)


def _is_missed(guest: guests.Guest) -> bool:
    """Tell whether the guest is neither connected nor judged."""
    return guest.phase is guests.Phase.WATCHED and guest.connection is None


def _was_just_attached(guest: guests.Guest) -> bool:
    """Tell whether the connection had only just ended, as it does when qemu itself ends."""
    return guest.lost_at > 0 and time.monotonic() - guest.lost_at < _DRAIN
