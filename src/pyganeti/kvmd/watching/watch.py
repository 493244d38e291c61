"""Which sockets there are, and the approaches to the qemus behind them.

One approach a name, so one session a qemu. When the socket of a name is replaced while its old
qemu still talks, the approach to the old one lives on without files, and a new one begins. What
inotify did not tell, a rescan does; neither makes a second approach.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Final

from pyganeti.base import log, poller
from pyganeti.kvmd import descriptors
from pyganeti.kvmd import guest as guests
from pyganeti.kvmd import place as places
from pyganeti.kvmd.journal import journal
from pyganeti.kvmd.recording import metrics, recorder
from pyganeti.kvmd.watching import approach, connection, roster
from pyganeti.model import evidence, stop

_LOG = log.get(__name__)

_STARVED_AT_ONCE: Final = 16
"""Approaches that try again for each guest that has left, once descriptors had run out."""


class Watch:
    """Follows the files of the control directory; is told of them by `directory.Directory`.

    ``claim`` is called with the descriptor of each directory that is opened, and makes sure that
    nobody else watches it.
    """

    def __init__(
        self,
        *,
        polled: poller.Poller,
        place: places.Place,
        guests_of: roster.Roster,
        recorded: recorder.Recorder,
        kept: journal.Journal,
        counted: metrics.Metrics,
        budget: descriptors.Budget,
        claim: Callable[[int], None],
    ) -> None:
        self._claim = claim
        self._poller = polled
        self._place = place
        self._roster = guests_of
        self._recorder = recorded
        self._journal = kept
        self._metrics = counted
        self._budget = budget
        self._approaches: dict[str, approach.Approach] = {}
        self._replaced: set[approach.Approach] = set()
        self._starved: dict[str, None] = {}
        self._waiting: tuple[stop.Waiting, ...] = ()
        self._waiting_changed = False

    @property
    def approaches(self) -> int:
        """How many names have a socket, or a connection still."""
        return len(self._all())

    # The directory tells.

    def on_opened(self, dirfd: int) -> None:
        """Take the directory that is there now; its files are told separately."""
        self._claim(dirfd)
        self._place.dirfd = dirfd
        _LOG.info("the control directory is there")
        self._recorder.settle()
        self._roster.look_after()

    def on_lost(self) -> None:
        """Take note that the directory is gone; guests that are connected stay so."""
        self._place.dirfd = None
        _LOG.warning("the control directory is gone; waiting for it")
        for found in list(self._approaches.values()):
            found.sockets = ()
            self._drop_if_idle(found)

    def on_appeared(self, file_name: str) -> None:
        """Approach the qemu of a socket that has appeared or changed."""
        name = self._place.guest_of(file_name)
        if name is None:
            return
        found = self._approaches.get(name)
        if found is not None and found.connection is not None:
            opened = found.connection
            if file_name != opened.name or self._is_same_file(opened):
                self._add_socket(found, file_name)
                return
            found.sockets = ()
            self._replaced.add(found)
            found = None
        if found is None:
            found = self._approaches[name] = approach.Approach(self, name)
        self._add_socket(found, file_name)
        found.start_over()

    def on_vanished(self, file_name: str) -> None:
        """Stop approaching a socket that is gone; a connection to its qemu goes on."""
        name = self._place.guest_of(file_name)
        found = self._approaches.get(name) if name is not None else None
        if found is None:
            return
        found.sockets = tuple(s for s in found.sockets if s != file_name)
        self._drop_if_idle(found)

    def on_rescan(self, names: AbstractSet[str]) -> None:
        """Look after what the directory's files decide; all ``names`` have been told by now."""
        del names
        self._metrics.rescans += 1
        self._recorder.settle()
        self._roster.look_after()

    def close(self) -> None:
        """Leave all qemus alone."""
        for found in self._all():
            found.close()
        self._approaches.clear()
        self._replaced.clear()

    def tell_waiting(self) -> None:
        """Put what cannot be reached on record, if it is not what it was."""
        if not self._waiting_changed:
            return
        self._waiting_changed = False
        waiting = tuple(
            stop.Waiting(
                socket=found.sockets[0],
                since=found.since,
                reason=found.reason,
                attempts=found.attempts,
            )
            for found in self._approaches.values()
            if found.reason and found.sockets
        )
        if [_shown(w) for w in waiting] != [_shown(w) for w in self._waiting]:
            self._waiting = waiting
            self._journal.waiting(list(waiting))
        self._metrics.waiting = len(waiting)

    def forget_told(self) -> None:
        """Tell the journal anew what cannot be reached: it has been begun anew."""
        self._waiting = ()
        self._waiting_changed = True

    def count(self) -> None:
        """Bring the counts of events up to date."""
        opened = [found.connection for found in self._all() if found.connection is not None]
        self._metrics.events = self._metrics.events_ended + sum(c.ignored for c in opened)
        self._metrics.garbage = self._metrics.garbage_ended + sum(c.garbage for c in opened)

    # The approaches ask and tell.

    @property
    def poller(self) -> poller.Poller:
        """The one that connections are read by."""
        return self._poller

    @property
    def dirfd(self) -> int | None:
        """The control directory's descriptor, None while it is missing."""
        return self._place.dirfd

    def may_connect(self) -> bool:
        """Tell whether a descriptor is left for a connection."""
        return self._budget.may_connect

    def on_connected(self, found: approach.Approach) -> None:
        """Count a connection."""
        self._budget.connections += 1
        self._starved.pop(found.name, None)

    def on_attached(self, found: approach.Approach, opened: connection.Connection) -> guests.Guest:
        """Return the guest whose events flow from now on."""
        self._waiting_changed = True
        return self._roster.meet(found.name, opened)

    def on_status(self, guest: guests.Guest, status: str) -> None:
        """Pass the run state on."""
        self._roster.on_status(guest, status)

    def on_event(self, guest: guests.Guest, event: evidence.QmpEvent) -> None:
        """Pass the event on."""
        self._roster.on_event(guest, event)

    def on_disconnected(self, found: approach.Approach, ended: connection.Connection) -> None:
        """Give the descriptor to one who waits for it, and have the guest looked after."""
        self._budget.connections -= 1
        self._metrics.events_ended += ended.ignored
        self._metrics.garbage_ended += ended.garbage
        if found.guest is not None:
            self._roster.on_disconnected(found.guest, was_cut=ended.was_cut)
        self._drop_if_idle(found)
        for name in list(self._starved)[:_STARVED_AT_ONCE]:
            del self._starved[name]
            starved = self._approaches.get(name)
            if starved is not None:
                starved.start_over()

    def on_obstacle(self, found: approach.Approach) -> None:
        """Count an attempt that failed; say once that descriptors have run out."""
        self._metrics.retries += 1
        self._waiting_changed = True
        if found.reason != connection.Reason.EXHAUSTED:
            return
        if not self._starved:
            _LOG.error(
                "no descriptors left for more guests; they are reached as others leave",
                limit=self._budget.limit,
                connections=self._budget.connections,
            )
        self._starved[found.name] = None

    def _add_socket(self, found: approach.Approach, file_name: str) -> None:
        if file_name not in found.sockets:
            order = self._place.sockets_of(found.name)
            found.sockets = tuple(s for s in order if s in found.sockets or s == file_name)

    def _is_same_file(self, opened: connection.Connection) -> bool:
        found = self._place.stat(opened.name)
        return found is not None and (found.st_ino, found.st_mtime_ns) == (
            opened.inode,
            opened.mtime_ns,
        )

    def _drop_if_idle(self, found: approach.Approach) -> None:
        if found.sockets or found.connection is not None:
            return
        found.close()
        self._waiting_changed = True
        self._replaced.discard(found)
        if self._approaches.get(found.name) is found:
            del self._approaches[found.name]
            self._starved.pop(found.name, None)

    def _all(self) -> list[approach.Approach]:
        return [*self._approaches.values(), *self._replaced]


def _shown(waiting: stop.Waiting) -> tuple[str, str, int]:
    """Return what is worth writing anew when it changes; of the attempts, that they doubled."""
    return waiting.socket, waiting.reason, waiting.attempts.bit_length()
