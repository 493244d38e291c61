"""All guests: met when their qemu answers, followed through its events, judged when it stops.

The rules that keep the record straight:

- one guest a process and socket, whatever its name: the next qemu of that name is another guest;
- a guest's end is taken up once (its phase only moves forward) by the first that shows it: an
  event, a held state, or the end of its process;
- a closed connection alone is not an end: `vigil` finds out whether it is one;
- the marker of an earlier qemu is removed when a new one is seen running under the name.

Everything runs on the loop and nothing here waits.
"""

import asyncio
import functools
import time
from collections.abc import Iterable
from typing import Final

from pyganeti.base import log, oomcount, processes
from pyganeti.kvmd import guest as guests
from pyganeti.kvmd import identity
from pyganeti.kvmd import place as places
from pyganeti.kvmd.journal import journal
from pyganeti.kvmd.judging import cause, inquest, qemuprocess
from pyganeti.kvmd.recording import metrics, recorder
from pyganeti.kvmd.watching import connection, vigil
from pyganeti.model import evidence as evidences
from pyganeti.model import stop

_LOG = log.get(__name__)

_LOOK_AFTER: Final = 1.0
"""Seconds after the start in which most restored guests will have answered."""

_AT_ONCE: Final = 16
"""Restored guests looked at in one turn of the loop: about a millisecond's worth."""

_MIGRATION_LOOK: Final = 0.1
"""Seconds between questions to a qemu that is handing its guest over."""

_MET_EARLY: Final = 5.0
"""Seconds of life within which a qemu must be met for its whole life to count as seen."""

_QUIT_GRACE: Final = 10.0
"""Seconds for a held qemu to obey quit before people are told that it does not."""

_PANICKED: Final = "guest-panicked"
_LASTING: Final = frozenset({"inmigrate", "postmigrate", "shutdown", _PANICKED, "watchdog"})
"""Run states that are evidence, and so must outlive the daemon, and must not outlive themselves."""


class Roster:
    """Follows guests from their first answer to their recorded stop."""

    def __init__(
        self,
        *,
        place: places.Place,
        followed: qemuprocess.QemuProcesses,
        oom: oomcount.Counter,
        kept: journal.Journal,
        recorded: recorder.Recorder,
        counted: metrics.Metrics,
        boot_id: str,
        powerdown_window: float,
    ) -> None:
        self._processes = followed
        self._oom = oom
        self._journal = kept
        self._recorder = recorded
        self._metrics = counted
        self._boot_id = boot_id
        self._inquest = inquest.Inquest(
            processes=followed,
            oom=oom,
            place=place,
            powerdown_window=powerdown_window,
            judged=self._on_judged,
        )
        self._vigil = vigil.Vigil(place=place, processes=followed, inquest=self._inquest, kept=kept)
        self._guests: dict[str, guests.Guest] = {}
        self._newest: dict[str, guests.Guest] = {}
        self._restored: list[guests.Guest] = []

    def __len__(self) -> int:
        """Return how many guests there are."""
        return len(self._guests)

    def restore(self, rows: Iterable[stop.Watched]) -> None:
        """Take up the guests that an earlier run watched; judge those that the host outlived."""
        booted_at = processes.boot_time()
        for row in rows:
            guest = guests.Guest.restored(row)
            if row.boot_id != self._boot_id:
                self._inquest.judge_after_reboot(guest, booted_at)
                continue
            self._admit(guest)
            self._restored.append(guest)
            self._journal.remember(guest.row())
        asyncio.get_running_loop().call_later(_LOOK_AFTER, self.look_after)

    def look_after(self) -> None:
        """Judge the restored guests that have ended meanwhile; the others will be reached.

        To be called when the control directory is there, whose files are evidence too.
        """
        for guest in self._restored[-_AT_ONCE:]:
            self._vigil.look_at(guest)
        del self._restored[-_AT_ONCE:]
        if self._restored:
            asyncio.get_running_loop().call_soon(self.look_after)

    def remember_all(self) -> None:
        """Put every guest on record again: the journal has been begun anew."""
        for guest in self._guests.values():
            if guest.phase is guests.Phase.WATCHED and guest.status:
                self._journal.remember(guest.row())

    def refresh(self) -> None:
        """Take stock of out-of-memory kills that were none of the guests'."""
        self._oom.refresh()

    # A connection tells.

    def meet(self, name: str, opened: connection.Connection) -> guests.Guest:
        """Return the guest that answers, known or new."""
        pid = opened.pid
        ticks = processes.start_ticks(pid) if pid is not None else None
        key = identity.key(self._boot_id, pid, ticks, opened.inode, opened.mtime_ns)
        guest = self._known(name, key, ticks, opened)
        if guest is None:
            guest = self._welcome(name, key, pid, ticks, opened)
        guest.connection = opened
        guest.was_cut = False
        guest.qemu = opened.version
        _LOG.debug("attached", name=name, socket=opened.name, qemu_pid=pid, qemu=opened.version)
        if guest.status and guest.phase is guests.Phase.WATCHED:
            self._journal.remember(guest.row())
        return guest

    def on_status(self, guest: guests.Guest, status: str) -> None:
        """Take the run state into account: a held guest is judged, a running one unmarked."""
        if not guest.status and guest.phase is guests.Phase.WATCHED:
            self._greet(guest, status)
        before = guest.status
        news = guest.take_status(status)
        if status == "finish-migrate":
            asyncio.get_running_loop().call_later(_MIGRATION_LOOK, self._ask_again, guest)
        if guest.phase is guests.Phase.RECORDED:
            self._let_go(guest)
        elif status == "shutdown" or (status == _PANICKED and _is_held_for_us(guest)):
            self._inquest.judge_at_once(guest)
        elif news and not _LASTING.isdisjoint((before, status)):
            self._journal.remember(guest.row())

    def on_event(self, guest: guests.Guest, event: evidences.QmpEvent) -> None:
        """Take an event into account; a SHUTDOWN mostly decides."""
        if guest.phase is not guests.Phase.WATCHED:
            return
        if not guest.status:
            self._greet(guest, "running")
            guest.status = "running"
        changed = guest.note(event)
        if event.name == "SHUTDOWN" and self._inquest.judge_at_once(guest):
            return
        if event.name == "STOP" and guest.connection is not None:
            guest.connection.query_status()
        if changed:
            self._journal.remember(guest.row())

    def on_disconnected(self, guest: guests.Guest, *, was_cut: bool) -> None:
        """Judge the guest if its qemu has ended; else wait for either to come back or end.

        ``was_cut`` says that the connection ended in the middle of a line.
        """
        guest.connection = None
        guest.was_cut = was_cut
        guest.lost_at = time.monotonic()
        if guest.phase is guests.Phase.RECORDED:
            self._forget(guest)
        elif guest.phase is guests.Phase.WATCHED:
            self._vigil.on_disconnected(guest)

    # The ways of a guest.

    def _known(
        self, name: str, key: str, ticks: int | None, opened: connection.Connection
    ) -> guests.Guest | None:
        """Return the guest that answers if it was met before.

        Its socket file may have been touched since, or its process have ended after it answered.
        """
        guest = self._guests.get(key)
        if guest is not None:
            return guest
        guest = self._newest.get(name)
        if guest is None or guest.phase is not guests.Phase.WATCHED or guest.attached:
            return None
        if opened.pid is None or guest.pid != opened.pid:
            return None
        is_same = ticks == guest.ticks or (
            ticks is None and identity.is_of_socket(guest.key, opened.inode, opened.mtime_ns)
        )
        return guest if is_same else None

    def _welcome(
        self,
        name: str,
        key: str,
        pid: int | None,
        ticks: int | None,
        opened: connection.Connection,
    ) -> guests.Guest:
        guest = guests.Guest(
            name=name,
            key=key,
            boot_id=self._boot_id,
            socket=opened.name,
            pid=pid,
            ticks=ticks,
            started=processes.started_at(ticks) if ticks is not None else None,
            since=time.time(),
        )
        guest.whole = guest.started is not None and guest.since - guest.started < _MET_EARLY
        if pid is not None:
            guest.reset_ends_qemu = identity.ends_unlike_a_power_off(processes.command_line(pid))
        previous = self._newest.get(name)
        self._admit(guest)
        if previous is not None:
            self._vigil.look_at(previous)
        return guest

    def _admit(self, guest: guests.Guest) -> None:
        self._guests[guest.key] = guest
        self._newest[guest.name] = guest
        self._metrics.watched = len(self._guests)
        if guest.pid is None:
            return
        self._processes.follow(
            guest.pid, guest.ticks, guest.key, functools.partial(self._vigil.on_process_end, guest)
        )
        group = oomcount.group_of(guest.pid)
        if group is not None:
            self._oom.watch(guest.key, group)

    def _greet(self, guest: guests.Guest, status: str) -> None:
        """Put a guest on record that has shown to be alive, and the marker before it away."""
        if status != "shutdown":
            self._recorder.unmark(guest.name)
        self._journal.remember(guest.row())

    @staticmethod
    def _ask_again(guest: guests.Guest) -> None:
        """Follow a migration to its end where qemu does not report it by an event."""
        if guest.connection is not None:
            guest.connection.query_status()

    def _on_judged(
        self, guest: guests.Guest, verdict: cause.Verdict, evidence: evidences.Evidence
    ) -> None:
        self._recorder.record(guest, verdict, evidence, self._on_recorded)

    def _on_recorded(self, guest: guests.Guest) -> None:
        if guest.connection is None:
            self._forget(guest)
        else:
            self._let_go(guest)

    def _let_go(self, guest: guests.Guest) -> None:
        """End a qemu that is held for us; one that is on its way out takes no harm."""
        if guest.connection is not None and guest.connection.quit():
            asyncio.get_running_loop().call_later(_QUIT_GRACE, self._complain, guest)

    def _complain(self, guest: guests.Guest) -> None:
        if guest.connection is not None:
            _LOG.error("a stopped qemu does not obey quit", name=guest.name, pid=guest.pid)

    def _forget(self, guest: guests.Guest) -> None:
        if self._guests.pop(guest.key, None) is None:
            return
        if self._newest.get(guest.name) is guest:
            del self._newest[guest.name]
        self._metrics.watched = len(self._guests)
        self._oom.forget(guest.key)
        if guest.pid is not None:
            self._processes.unfollow(guest.pid, guest.key)


def _is_held_for_us(guest: guests.Guest) -> bool:
    return guest.pid is not None and identity.is_held_for_us(processes.command_line(guest.pid))
