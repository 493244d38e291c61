"""From "it has stopped" to a verdict: gathers the evidence about one guest and has it judged.

Two ways lead here. A SHUTDOWN event, or a qemu found holding a stopped guest, mostly decides by
itself, and is judged at once. A qemu that went without a word is judged when its exit status is
known, for which it is given a bounded time: the status is there only once its parent has reaped it.
"""

import asyncio
import os
import stat
import time
from typing import Final, Protocol

from pyganeti.base import oomcount
from pyganeti.kvmd import guest as guests
from pyganeti.kvmd import identity
from pyganeti.kvmd import place as places
from pyganeti.kvmd.judging import cause, intents, qemuprocess
from pyganeti.model import evidence as evidences
from pyganeti.model import intent as intent_model

_PAUSES: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.0)
"""Seconds between looks for an exit status, four together (two were seen on a busy host)."""

_SIGKILL: Final = 9

_CUT_OFF: Final = "qemu's last words, which it had not got rid of when it ended"
"""A guest that floods its qemu with events makes its output run full; what qemu could not write it
throws away when it ends, SHUTDOWN included, and the stream ends in the middle of a line."""


class Judged(Protocol):
    """Who is told of a verdict."""

    def __call__(
        self, guest: guests.Guest, verdict: cause.Verdict, evidence: evidences.Evidence
    ) -> None:
        """Take the verdict on; the guest is in phase JUDGED."""


class Inquest:
    """Judges guests; each at most once, since the phase of a guest only moves forward."""

    def __init__(
        self,
        *,
        processes: qemuprocess.QemuProcesses,
        oom: oomcount.Counter,
        place: places.Place,
        powerdown_window: float,
        judged: Judged,
    ) -> None:
        self._processes = processes
        self._oom = oom
        self._place = place
        self._window = powerdown_window
        self._judged = judged

    def judge_at_once(self, guest: guests.Guest) -> bool:
        """Judge a guest that stopped before our eyes or is held; tell whether that decided.

        If it did not, the end of its qemu will.
        """
        if guest.phase is not guests.Phase.WATCHED:
            return False
        found = self._gather(guest, ended=False)
        verdict = cause.classify(found, powerdown_window=self._window)
        if not verdict.is_final and guest.status != "shutdown":
            return False
        self._hand_over(guest, verdict, found)
        return True

    def judge_after_reboot(self, guest: guests.Guest, booted_at: float) -> None:
        """Judge a guest that was last seen running before the host booted, at ``booted_at``."""
        found = evidences.Evidence(
            pid=guest.pid,
            attachment=guest.attachment,
            events=guest.events,
            status=guest.status,
            host_rebooted=True,
            ended_at=booted_at,
        )
        self._hand_over(guest, cause.classify(found, powerdown_window=self._window), found)

    def judge_when_known(self, guest: guests.Guest, *, attached_at_end: bool) -> None:
        """Judge a guest whose qemu has ended, once its exit status is known or will not be."""
        if guest.phase is not guests.Phase.WATCHED:
            return
        guest.phase = guests.Phase.ENDING
        self._look(guest, time.time(), attached_at_end, 0)

    def _look(self, guest: guests.Guest, ended_at: float, attached: bool, looks: int) -> None:  # noqa: FBT001
        if guest.phase is not guests.Phase.ENDING:
            return
        status = None
        if guest.pid is not None:
            status = self._processes.exit_status(guest.pid, guest.ticks)
            hopeful = status is None and self._processes.may_still_tell(guest.pid, guest.ticks)
            if hopeful and looks < len(_PAUSES):
                asyncio.get_running_loop().call_later(
                    _PAUSES[looks], self._look, guest, ended_at, attached, looks + 1
                )
                return
        found = self._gather(
            guest, ended=True, ended_at=ended_at, attached=attached, exit_status=status
        )
        self._hand_over(guest, cause.classify(found, powerdown_window=self._window), found)

    def _gather(
        self,
        guest: guests.Guest,
        *,
        ended: bool,
        ended_at: float | None = None,
        attached: bool = True,
        exit_status: evidences.ExitStatus | None = None,
    ) -> evidences.Evidence:
        dirfd = self._place.dirfd
        intent, note = intents.read(dirfd, guest.name)
        kills, source = 0, ""
        if exit_status is not None and exit_status.signal == _SIGKILL:
            kills, source = self._oom.take(guest.key)
        return evidences.Evidence(
            pid=guest.pid,
            attachment=guest.attachment,
            attached_at_end=attached and not guest.was_cut,
            events=guest.events,
            status=guest.status,
            ended=ended,
            exit=exit_status,
            oom_kills=kills,
            oom_source=source,
            intent=intent,
            intent_note=note or _foreign(intent, guest.pid),
            reset_ends_qemu=guest.reset_ends_qemu,
            socket_left=_socket_is_left(dirfd, guest) if ended else None,
            pid_file_left=self._pid_file_is_left(guest) if ended else None,
            ended_at=time.time() if ended_at is None else ended_at,
            missing=(_CUT_OFF,) if guest.was_cut else (),
        )

    def _hand_over(
        self, guest: guests.Guest, verdict: cause.Verdict, found: evidences.Evidence
    ) -> None:
        guest.phase = guests.Phase.JUDGED
        self._judged(guest, verdict, found)

    def _pid_file_is_left(self, guest: guests.Guest) -> bool | None:
        pid_dir = self._place.pid_dir
        if pid_dir is None or guest.pid is None:
            return None
        path = os.fsencode(pid_dir) + b"/" + os.fsencode(guest.name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError:
            return None
        try:
            return os.read(descriptor, 32).strip() == b"%d" % guest.pid
        except OSError:
            return None
        finally:
            os.close(descriptor)


def _foreign(intent: intent_model.Intent | None, pid: int | None) -> str:
    if intent is None or intent.pid == pid:
        return ""
    return f"the intent is about process {intent.pid}"


def _socket_is_left(dirfd: int | None, guest: guests.Guest) -> bool | None:
    if dirfd is None:
        return None
    try:
        found = os.stat(guest.socket, dir_fd=dirfd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    return stat.S_ISSOCK(found.st_mode) and identity.is_of_socket(
        guest.key, found.st_ino, found.st_mtime_ns
    )
