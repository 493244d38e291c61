"""The verdict: a pure function from the evidence about one stop to its cause.

The rules are tried in a fixed order, strongest evidence first; each either decides or passes.
Nothing is guessed: what no rule decides is `Cause.UNKNOWN`, with the missing evidence named.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyganeti.base import oomcount
from pyganeti.kvmd import ledger
from pyganeti.model import cause as causes
from pyganeti.model import evidence as evidences
from pyganeti.model import intent as intents

Cause = causes.Cause

POWERDOWN_WINDOW: Final = 120.0
"""Seconds for which a POWERDOWN event stands for an intent that nobody wrote (Ganeti's default
shutdown timeout)."""

_SIGKILL: Final = 9
_ORDERLY_SIGNALS: Final = frozenset({1, 2, 15})
_ENDING_WATCHDOG: Final = frozenset({"reset", "shutdown", "poweroff", "pause", "debug"})
_TOLD_TO_END: Final = {
    "host-qmp-quit": "qemu was told to quit over QMP",
    "host-qmp-system-reset": "qemu was told over QMP to reset, and it ends on a reset",
    "host-ui": "qemu's window was closed",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A cause, the evidence that decided in one plain sentence, and what was looked for in vain."""

    cause: causes.Cause
    why: str
    missing: tuple[str, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether more evidence, such as an exit status, could not be needed to decide."""
        return self.cause is not Cause.UNKNOWN


@dataclass(frozen=True, slots=True)
class _Case:
    evidence: evidences.Evidence
    window: float

    def event(self, name: str) -> evidences.QmpEvent | None:
        return ledger.last(self.evidence.events, name)

    @property
    def stopped_at(self) -> float:
        shutdown = self.event("SHUTDOWN")
        return shutdown.at if shutdown else self.evidence.ended_at

    @property
    def live_intent(self) -> intents.Intent | None:
        intent = self.evidence.intent
        return intent if intent and is_live(intent, self.evidence.pid, self.stopped_at) else None

    @property
    def was_to_be_killed(self) -> bool:
        """Whether a kill of this process was announced, and in force."""
        intent = self.live_intent
        return intent is not None and intent.kind is intents.IntentKind.KILL


def classify(
    evidence: evidences.Evidence, *, powerdown_window: float = POWERDOWN_WINDOW
) -> Verdict:
    """Decide why the guest stopped.

    ``powerdown_window`` is in seconds. The verdict's ``missing`` repeats the evidence's own and
    adds what the rules would have needed.
    """
    case = _Case(evidence, powerdown_window)
    for rule in _RULES:
        verdict = rule(case)
        if verdict is not None:
            return Verdict(verdict.cause, verdict.why, (*evidence.missing, *verdict.missing))
    return Verdict(Cause.UNKNOWN, "nothing shows why it ended", evidence.missing)


def is_live(intent: intents.Intent, pid: int | None, at: float) -> bool:
    """Tell whether the intent was about this process and in force at that time (epoch seconds)."""
    return intent.pid == pid and intent.written <= at <= intent.deadline


def _migrated(case: _Case) -> Verdict | None:
    if case.event("MIGRATION"):
        return Verdict(Cause.MIGRATED, "qemu reported that the migration was completed")
    if case.evidence.status == "postmigrate":
        return Verdict(Cause.MIGRATED, "qemu was in the state that follows a completed migration")
    return None


def _host_rebooted(case: _Case) -> Verdict | None:
    if not case.evidence.host_rebooted:
        return None
    return Verdict(Cause.HOST_REBOOT, "the host has booted anew since the guest was last seen")


def _out_of_memory(case: _Case) -> Verdict | None:
    found = case.evidence
    if found.exit is None or found.exit.signal != _SIGKILL or not found.oom_kills:
        return None
    if found.oom_source == oomcount.HOST and case.was_to_be_killed:
        return None  # the kernel may have killed anybody there; this one's end was announced
    return Verdict(
        Cause.OOM_KILLED,
        f"qemu died of SIGKILL and the out-of-memory count of {found.oom_source} rose",
    )


def _died_of_signal(case: _Case) -> Verdict | None:
    status = case.evidence.exit
    if status is None or status.signal is None:
        return None
    if status.signal == _SIGKILL:
        if case.was_to_be_killed:
            return Verdict(Cause.ADMIN_KILL, "qemu died of SIGKILL, which had been announced")
        return Verdict(Cause.KILLED, "qemu died of SIGKILL and nobody had announced it")
    if status.signal in _ORDERLY_SIGNALS and not status.dumped_core:
        return Verdict(Cause.HOST_SIGNAL, f"qemu died of {status} before it could handle it")
    return Verdict(Cause.CRASHED, f"qemu died of {status}")


def _panicked(case: _Case) -> Verdict | None:
    panic = case.event("GUEST_PANICKED")
    if panic and panic.detail != "run":
        return Verdict(Cause.GUEST_PANIC, "the guest reported a panic")
    shutdown = case.event("SHUTDOWN")
    if shutdown and shutdown.detail == "guest-panic":
        return Verdict(Cause.GUEST_PANIC, "qemu shut down because the guest had panicked")
    if case.evidence.status == "guest-panicked":
        return Verdict(Cause.GUEST_PANIC, "qemu had paused the guest because it had panicked")
    return None


def _watchdog(case: _Case) -> Verdict | None:
    if case.evidence.status == "watchdog":
        return Verdict(Cause.WATCHDOG, "qemu had paused the guest because its watchdog fired")
    bite = case.event("WATCHDOG")
    if bite is None or bite.detail not in _ENDING_WATCHDOG:
        return None
    if bite.detail == "shutdown" and not _within(bite.at, case.stopped_at, case.window):
        return None  # it pressed the power button, and the guest took no notice
    return Verdict(Cause.WATCHDOG, f"the watchdog fired, and its action is {bite.detail}")


def _ended_by_host(case: _Case) -> Verdict | None:
    shutdown = case.event("SHUTDOWN")
    if shutdown is None:
        return None
    told = _TOLD_TO_END.get(shutdown.detail)
    if told:
        return Verdict(Cause.ADMIN_QUIT, told)
    if shutdown.detail == "host-signal":
        return Verdict(Cause.HOST_SIGNAL, "qemu got a signal and ended in order")
    if shutdown.detail == "host-error":
        return Verdict(Cause.CRASHED, "qemu gave up because of an error on the host")
    if shutdown.guest is False and not shutdown.detail:
        intent = case.live_intent
        reason = ("the reason of the SHUTDOWN event (QEMU before 4.0 does not tell it)",)
        if intent and intent.kind.asks_for_the_end:
            return Verdict(
                Cause.ADMIN_QUIT, "qemu was ended from the host, as had been announced", reason
            )
        return Verdict(Cause.UNKNOWN, "qemu was ended from the host, by whom is not told", reason)
    return None


def _reset(case: _Case) -> Verdict | None:
    shutdown = case.event("SHUTDOWN")
    if shutdown is None or shutdown.detail != "guest-reset":
        return None
    return Verdict(Cause.GUEST_REBOOT, "the guest reset itself, and its qemu ends on a reset")


def _powered_off(case: _Case) -> Verdict | None:
    shutdown = case.event("SHUTDOWN")
    missing: tuple[str, ...] = ()
    if shutdown is not None:
        if shutdown.detail not in ("", "guest-shutdown"):
            return Verdict(Cause.UNKNOWN, f"qemu gave a reason not known here: {shutdown.detail}")
        if not shutdown.detail:
            missing = ("the reason of the SHUTDOWN event (QEMU before 4.0 does not tell it)",)
    elif case.evidence.status == "shutdown":
        could_be_a_reset = case.evidence.reset_ends_qemu
        if could_be_a_reset is not False:
            unread = ("the command line of qemu, which tells whether a reset ends it",)
            return Verdict(
                Cause.UNKNOWN,
                "qemu holds a guest that powered off or reset itself while nobody watched",
                (
                    "the SHUTDOWN event, which tells a power-off from a reset",
                    *(unread if could_be_a_reset is None else ()),
                ),
            )
    else:
        return None
    return _powered_off_by_whom(case, missing)


def _powered_off_by_whom(case: _Case, missing: tuple[str, ...]) -> Verdict:
    intent = case.live_intent
    if intent and intent.kind.asks_for_the_end:
        return Verdict(
            Cause.ADMIN_SHUTDOWN,
            f"the guest powered off while an announced {intent.kind} was in force",
            missing,
        )
    powerdown = case.event("POWERDOWN")
    if powerdown and _stands_for_intent(case, powerdown):
        seconds = max(0.0, case.stopped_at - powerdown.at)
        return Verdict(
            Cause.ADMIN_SHUTDOWN,
            f"the guest powered off {seconds:.1f} s after its power button had been pressed",
            missing,
        )
    if case.event("SUSPEND_DISK"):
        return Verdict(Cause.USER_HIBERNATE, "the guest suspended to disk", missing)
    return Verdict(
        Cause.USER_POWEROFF, "the guest powered itself off and nobody had asked for it", missing
    )


def _stands_for_intent(case: _Case, powerdown: evidences.QmpEvent) -> bool:
    """Tell whether a POWERDOWN counts by itself: in time, and not governed by a written intent.

    The second half of an intent's life is its deadline: once that is over, the POWERDOWN which it
    announced is over too, even if the window would still be open.
    """
    if not _within(powerdown.at, case.stopped_at, case.window):
        return False
    intent = case.evidence.intent
    governed = (
        intent is not None
        and intent.pid == case.evidence.pid
        and intent.kind.asks_for_the_end
        and intent.written <= powerdown.at <= intent.deadline
    )
    return not governed


def _within(earlier: float, later: float, seconds: float) -> bool:
    """Tell whether no more than that time lies between; a clock set back counts as no time."""
    return later - earlier <= seconds


def _exited(case: _Case) -> Verdict | None:
    found = case.evidence
    if found.exit is None or found.exit.code is None:
        return None
    if found.attached_at_end:
        return Verdict(
            Cause.EXITED,
            f"qemu ended with exit status {found.exit.code} and said nothing before",
        )
    return Verdict(
        Cause.UNKNOWN,
        f"qemu ended with exit status {found.exit.code}, and its last events were not seen",
        ("the QMP events at its end",),
    )


def _untold(case: _Case) -> Verdict | None:
    found = case.evidence
    missing: list[str] = []
    if found.exit is None:
        missing.append("the exit status of qemu")
    if not found.attached_at_end:
        missing.append("the QMP events at its end")
    if found.socket_left:
        why = "qemu left its socket behind, as it mostly does after a signal; which is not known"
    elif found.attached_at_end:
        why = "the connection to qemu ended without a word"
    else:
        why = "it ended while nobody watched"
    return Verdict(Cause.UNKNOWN, why, tuple(missing))


_RULES: Final[tuple[Callable[[_Case], Verdict | None], ...]] = (
    _migrated,
    _host_rebooted,
    _out_of_memory,
    _died_of_signal,
    _panicked,
    _watchdog,
    _ended_by_host,
    _reset,
    _powered_off,
    _exited,
    _untold,
)
