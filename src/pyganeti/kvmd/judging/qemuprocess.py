"""The processes behind the sockets: when they end, and with which status.

A pidfd is held from the first contact, so that the number cannot come to mean another process; if
it has come to mean one before, while no daemon watched, the process we mean has ended.
Several guests may share one process (a simulator does), hence one pidfd a process. Where
descriptors have run out, or the kernel has no pidfds, the process is looked up in /proc instead
and its exit status is known only if the proc connector reports it; if the kernel drops that news,
the end is found all the same, and the status stays unknown.
"""

import asyncio
import os
from collections.abc import Callable, Hashable
from select import EPOLLIN
from typing import Final

from pyganeti.base import errors, log, pidfd, poller, procconnector, processes
from pyganeti.kvmd import descriptors
from pyganeti.model import evidence

_LOG = log.get(__name__)
_DEAD: Final = frozenset({"Z", "X"})

_LOOK_AFTER_LOSS: Final = 0.25
"""Seconds from news that the kernel dropped some to a look at whom it may have been about."""


class _Process:
    __slots__ = ("ended", "fd", "listeners", "reported", "ticks")

    def __init__(self, ticks: int | None) -> None:
        self.fd: int | None = None
        self.ticks = ticks
        self.ended = False
        self.reported: int | None = None  # by the proc connector: its wait status
        self.listeners: dict[Hashable, Callable[[], None]] = {}


class QemuProcesses:
    """Follows processes by pid and start time; tells listeners, once, when one has ended."""

    def __init__(self, polled: poller.Poller, budget: descriptors.Budget) -> None:
        self._poller = polled
        self._budget = budget
        self._processes: dict[int, _Process] = {}
        self._connector: procconnector.ProcConnector | None = None
        self._said_exhausted = False

    def listen_to_the_kernel(self) -> bool:
        """Open the proc connector where pidfds cannot tell exit statuses; say whether it is open.

        Before Linux 6.15 it is the only source once the parent has reaped the process. Later it is
        opened only when no descriptors are left for pidfds: it wakes us for every process's end.
        """
        if pidfd.supported():
            return False
        return self._open_connector()

    def _open_connector(self) -> bool:
        if self._connector is not None:
            return True
        connector = procconnector.ProcConnector()
        try:
            connector.open()
        except (errors.Unavailable, errors.Denied) as error:
            _LOG.warning("exit statuses cannot be had from this kernel", error=str(error))
            return False
        self._connector = connector
        self._poller.add(connector.fileno(), EPOLLIN, self._on_exits)
        return True

    def follow(
        self, pid: int, ticks: int | None, key: Hashable, on_ended: Callable[[], None]
    ) -> None:
        """Call ``on_ended`` from the loop when the process ends; at most once for a ``key``."""
        process = self._processes.get(pid)
        if process is not None and process.ticks != ticks:
            self._drop(pid, process)
            process = None
        if process is None:
            process = self._processes[pid] = _Process(ticks)
            self._hold(pid, process)
        process.listeners[key] = on_ended

    def unfollow(self, pid: int, key: Hashable) -> None:
        """Forget one listener, and the process with its last one."""
        process = self._processes.get(pid)
        if process is None or process.listeners.pop(key, None) is None or process.listeners:
            return
        self._drop(pid, process)

    def has_ended(self, pid: int, ticks: int | None) -> bool:
        """Tell whether the process is gone or a zombie; a number in new hands counts as gone."""
        process = self._processes.get(pid)
        if process is not None and process.ticks == ticks and process.ended:
            return True
        try:
            found = processes.start_ticks(pid)
            if found is None:
                return not processes.exists(pid)  # /proc may be hidden from us
            return (ticks is not None and found != ticks) or processes.state(pid) in _DEAD
        except errors.Exhausted:
            return False  # not known; whoever asks will ask again

    def is_held(self, pid: int) -> bool:
        """Tell whether its end will be told without anybody looking."""
        process = self._processes.get(pid)
        return process is not None and (process.fd is not None or self._connector is not None)

    def exit_status(self, pid: int, ticks: int | None) -> evidence.ExitStatus | None:
        """Return how the process ended, None while no source can tell (its parent is slow)."""
        process = self._processes.get(pid)
        if process is not None and process.ticks == ticks:
            status = pidfd.exit_status(process.fd) if process.fd is not None else None
            if status is not None:
                return evidence.ExitStatus(wait_status=status, source="pidfd")
            if process.reported is not None:
                return evidence.ExitStatus(wait_status=process.reported, source="proc connector")
        if ticks is not None:
            status = processes.zombie_status(pid, ticks)
            if status is not None:
                return evidence.ExitStatus(wait_status=status, source="zombie")
        return None

    def may_still_tell(self, pid: int, ticks: int | None) -> bool:
        """Tell whether an exit status may yet come; not if the process was gone before we came."""
        process = self._processes.get(pid)
        if process is not None and process.ticks == ticks:
            if process.fd is not None:
                return True
            if process.ended:
                return False
        if self._connector is not None:
            return True
        try:
            return ticks is not None and processes.start_ticks(pid) == ticks
        except errors.Exhausted:
            return True

    def close(self) -> None:
        """Give all descriptors back; nobody is told anything any more."""
        for pid, process in list(self._processes.items()):
            process.listeners.clear()
            self._drop(pid, process)
        if self._connector is not None:
            self._poller.remove(self._connector.fileno())
            self._connector.close()
            self._connector = None

    def _hold(self, pid: int, process: _Process) -> None:
        """Take a pidfd and have it polled; without one the process is looked up when need be."""
        if self._budget.may_hold_process:
            fd = None
            try:
                fd = pidfd.open(pid)
                if _is_another(pid, process.ticks):
                    process.ended = True
                elif fd is not None:
                    self._poller.add(fd, EPOLLIN, lambda _mask: self._on_readable(pid))
                    self._budget.processes += 1
                    process.fd, fd = fd, None
            except (OSError, errors.Exhausted):
                pass
            else:
                self._said_exhausted = False
                return
            finally:
                if fd is not None:
                    os.close(fd)
        if not self._said_exhausted:
            _LOG.warning("no descriptors left to hold processes by; other sources have to do")
            self._open_connector()
        self._said_exhausted = True

    def _on_readable(self, pid: int) -> None:
        process = self._processes.get(pid)
        if process is None or process.fd is None:
            return
        self._poller.remove(process.fd)
        self._tell(process)

    def _on_exits(self, _mask: int) -> None:
        if self._connector is None:
            return
        lost = self._connector.lost
        reported = self._connector.drain()
        if self._connector.lost != lost:
            asyncio.get_running_loop().call_later(_LOOK_AFTER_LOSS, self._look_at_unheld)
        for ended in reported:
            process = self._processes.get(ended.pid)
            if process is None or process.ended:
                continue
            process.reported = ended.wait_status
            if process.fd is None:
                self._tell(process)

    def _look_at_unheld(self) -> None:
        """Find what ended while the kernel dropped its news; of that no status is known."""
        for pid, process in list(self._processes.items()):
            if process.fd is None and not process.ended and self.has_ended(pid, process.ticks):
                self._tell(process)

    @staticmethod
    def _tell(process: _Process) -> None:
        process.ended = True
        for on_ended in list(process.listeners.values()):
            on_ended()

    def _drop(self, pid: int, process: _Process) -> None:
        if self._processes.get(pid) is process:
            del self._processes[pid]
        if process.fd is not None:
            if not process.ended:
                self._poller.remove(process.fd)
            os.close(process.fd)
            self._budget.processes -= 1
            process.fd = None


def _is_another(pid: int, ticks: int | None) -> bool:
    """Tell whether the number now means a process that began at another time."""
    found = processes.start_ticks(pid) if ticks is not None else None
    return found is not None and found != ticks
