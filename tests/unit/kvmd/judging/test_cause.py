"""Every row of the table of causes, every race that evidence shows, and the order of the rules."""

import signal
from typing import Any

import pytest

from pyganeti.kvmd import ledger
from pyganeti.kvmd.judging import cause
from pyganeti.model import evidence as evidences
from pyganeti.model import intent as intents
from pyganeti.model.cause import Cause

NOW = 1_000_000.0
PID = 4711


def event(name: str, detail: str = "", *, guest: bool | None = None, ago: float = 0.0) -> Any:
    return evidences.QmpEvent(at=NOW - ago, name=name, detail=detail, guest=guest)


POWERED_OFF = event("SHUTDOWN", "guest-shutdown", guest=True)
QUIT = event("SHUTDOWN", "host-qmp-quit", guest=False)
TERMED = event("SHUTDOWN", "host-signal", guest=False)


def intent(kind: str, *, pid: int = PID, ago: float = 5.0, left: float = 60.0) -> intents.Intent:
    return intents.Intent(
        kind=intents.IntentKind(kind), pid=pid, written=NOW - ago, deadline=NOW + left
    )


def found(*happened: evidences.QmpEvent, **fields: Any) -> evidences.Evidence:
    """Return the evidence that a watcher attached to the end has after these events."""
    events: ledger.Events = ()
    for happening in happened:
        events = ledger.note(events, happening)
    defaults: dict[str, Any] = {
        "pid": PID,
        "attachment": evidences.Attachment.WHOLE,
        "attached_at_end": True,
        "status": "running",
        "ended_at": NOW,
    }
    return evidences.Evidence(**{"events": events, **defaults, **fields})


def died(number: int, **fields: Any) -> evidences.Evidence:
    return found(exit=evidences.ExitStatus(wait_status=number, source="pidfd"), **fields)


def exited(code: int, *happened: evidences.QmpEvent, **fields: Any) -> evidences.Evidence:
    return found(*happened, exit=evidences.ExitStatus(wait_status=code << 8), **fields)


TABLE = {
    "guest powers off": (found(POWERED_OFF), Cause.USER_POWEROFF),
    "powerdown honoured": (
        found(event("POWERDOWN", ago=3), POWERED_OFF),
        Cause.ADMIN_SHUTDOWN,
    ),
    "powerdown ignored, user powers off later": (
        found(event("POWERDOWN", ago=121), POWERED_OFF),
        Cause.USER_POWEROFF,
    ),
    "powerdown at the very edge of the window": (
        found(event("POWERDOWN", ago=120), POWERED_OFF),
        Cause.ADMIN_SHUTDOWN,
    ),
    "the clock was set back after the powerdown": (
        found(event("POWERDOWN", ago=-3600), POWERED_OFF),
        Cause.ADMIN_SHUTDOWN,
    ),
    "quit": (found(QUIT), Cause.ADMIN_QUIT),
    "window closed": (found(event("SHUTDOWN", "host-ui", guest=False)), Cause.ADMIN_QUIT),
    "orderly signal": (found(TERMED), Cause.HOST_SIGNAL),
    "host error": (found(event("SHUTDOWN", "host-error", guest=False)), Cause.CRASHED),
    "SIGKILL": (died(signal.SIGKILL), Cause.KILLED),
    "SIGKILL announced": (died(signal.SIGKILL, intent=intent("kill")), Cause.ADMIN_KILL),
    "SIGKILL, another act announced": (
        died(signal.SIGKILL, intent=intent("snapshot")),
        Cause.KILLED,
    ),
    "SIGKILL, announced too long ago": (
        died(signal.SIGKILL, intent=intent("kill", ago=60, left=-1)),
        Cause.KILLED,
    ),
    "SIGKILL, announced for another process": (
        died(signal.SIGKILL, intent=intent("kill", pid=PID + 1)),
        Cause.KILLED,
    ),
    "out of memory": (
        died(signal.SIGKILL, oom_kills=1, oom_source="its cgroup"),
        Cause.OOM_KILLED,
    ),
    "out of memory, while a kill was announced": (
        died(signal.SIGKILL, oom_kills=1, oom_source="its cgroup", intent=intent("kill")),
        Cause.OOM_KILLED,
    ),
    "out of memory somewhere on the host, while a kill was announced": (
        died(signal.SIGKILL, oom_kills=1, oom_source="the host", intent=intent("kill")),
        Cause.ADMIN_KILL,
    ),
    "out of memory somewhere on the host, while something else was announced": (
        died(signal.SIGKILL, oom_kills=1, oom_source="the host", intent=intent("powerdown")),
        Cause.OOM_KILLED,
    ),
    "out of memory elsewhere, killed by nobody": (
        died(signal.SIGSEGV, oom_kills=1, oom_source="the host"),
        Cause.CRASHED,
    ),
    "SEGV": (died(signal.SIGSEGV), Cause.CRASHED),
    "ABRT with a core": (died(signal.SIGABRT | 0x80), Cause.CRASHED),
    "BUS": (died(signal.SIGBUS), Cause.CRASHED),
    "QUIT": (died(signal.SIGQUIT), Cause.CRASHED),
    "TERM before it could be handled": (died(signal.SIGTERM), Cause.HOST_SIGNAL),
    "guest reset with -no-reboot": (
        found(event("SHUTDOWN", "guest-reset", guest=True)),
        Cause.GUEST_REBOOT,
    ),
    "system_reset with -no-reboot": (
        found(event("SHUTDOWN", "host-qmp-system-reset", guest=False)),
        Cause.ADMIN_QUIT,
    ),
    "pvpanic": (
        found(event("GUEST_PANICKED", "poweroff"), event("SHUTDOWN", "guest-panic", guest=True)),
        Cause.GUEST_PANIC,
    ),
    "pvpanic with exit-failure": (
        exited(1, event("GUEST_PANICKED", "poweroff")),
        Cause.GUEST_PANIC,
    ),
    "pvpanic with pause, then quit": (
        found(event("GUEST_PANICKED", "pause"), event("STOP"), QUIT),
        Cause.GUEST_PANIC,
    ),
    "panic seen only as a state, then quit": (
        found(QUIT, status="guest-panicked"),
        Cause.GUEST_PANIC,
    ),
    "crash loaded, then powered off": (
        found(event("GUEST_CRASHLOADED", "run"), POWERED_OFF),
        Cause.USER_POWEROFF,
    ),
    "panic=none, then powered off": (
        found(event("GUEST_PANICKED", "run"), POWERED_OFF),
        Cause.USER_POWEROFF,
    ),
    "panic, reset, then powered off": (
        found(event("GUEST_PANICKED", "pause"), event("RESET", "guest-reset"), POWERED_OFF),
        Cause.USER_POWEROFF,
    ),
    "S3, woken, powered off": (
        found(event("SUSPEND"), event("WAKEUP"), POWERED_OFF),
        Cause.USER_POWEROFF,
    ),
    "S4": (found(event("SUSPEND_DISK"), POWERED_OFF), Cause.USER_HIBERNATE),
    "S4 when asked to power down": (
        found(event("POWERDOWN", ago=2), event("SUSPEND_DISK"), POWERED_OFF),
        Cause.ADMIN_SHUTDOWN,
    ),
    "held": (
        found(POWERED_OFF, event("STOP"), status="shutdown", ended=False),
        Cause.USER_POWEROFF,
    ),
    "held, powered off while nobody watched": (
        found(
            status="shutdown",
            ended=False,
            reset_ends_qemu=False,
            attachment=evidences.Attachment.PART,
        ),
        Cause.USER_POWEROFF,
    ),
    "held while nobody watched, as an administrator had announced": (
        found(status="shutdown", ended=False, reset_ends_qemu=False, intent=intent("powerdown")),
        Cause.ADMIN_SHUTDOWN,
    ),
    "held while nobody watched, and a reset ends it too": (
        found(status="shutdown", ended=False, reset_ends_qemu=True),
        Cause.UNKNOWN,
    ),
    "held while nobody watched, and whether a reset ends it cannot be seen": (
        found(status="shutdown", ended=False),
        Cause.UNKNOWN,
    ),
    "migrated away, then quit": (
        found(event("MIGRATION", "completed"), event("STOP"), QUIT),
        Cause.MIGRATED,
    ),
    "migrated away, then killed": (
        died(signal.SIGKILL, events=(event("MIGRATION", "completed"),)),
        Cause.MIGRATED,
    ),
    "migrated away, told by the state alone": (found(TERMED, status="postmigrate"), Cause.MIGRATED),
    "migration failed, powered off later": (
        found(event("MIGRATION", "failed"), event("RESUME"), POWERED_OFF),
        Cause.USER_POWEROFF,
    ),
    "migrated away, taken back, powered off": (
        found(event("MIGRATION", "completed"), event("RESUME"), POWERED_OFF),
        Cause.USER_POWEROFF,
    ),
    "paused, continued, powered off": (
        found(event("STOP", ago=60), event("RESUME", ago=30), POWERED_OFF),
        Cause.USER_POWEROFF,
    ),
    "powerdown, snapshot meanwhile, powered off": (
        found(event("POWERDOWN", ago=9), event("STOP", ago=8), event("RESUME", ago=7), POWERED_OFF),
        Cause.ADMIN_SHUTDOWN,
    ),
    "powerdown, reset instead, then powered off": (
        found(event("POWERDOWN", ago=9), event("RESET", "guest-reset", ago=5), POWERED_OFF),
        Cause.USER_POWEROFF,
    ),
    "announced powerdown": (found(POWERED_OFF, intent=intent("powerdown")), Cause.ADMIN_SHUTDOWN),
    "announced kill, the guest was faster": (
        found(POWERED_OFF, intent=intent("kill")),
        Cause.ADMIN_SHUTDOWN,
    ),
    "announced migration, the guest powers off": (
        found(POWERED_OFF, intent=intent("migrate")),
        Cause.USER_POWEROFF,
    ),
    "announced snapshot, the guest powers off": (
        found(POWERED_OFF, intent=intent("snapshot")),
        Cause.USER_POWEROFF,
    ),
    "the intent was written after the power-off": (
        found(POWERED_OFF, intent=intent("powerdown", ago=-1)),
        Cause.USER_POWEROFF,
    ),
    "the intent is over and so is its powerdown": (
        found(
            event("POWERDOWN", ago=60), POWERED_OFF, intent=intent("powerdown", ago=61, left=-30)
        ),
        Cause.USER_POWEROFF,
    ),
    "a powerdown after an intent that was over": (
        found(event("POWERDOWN", ago=5), POWERED_OFF, intent=intent("powerdown", ago=61, left=-30)),
        Cause.ADMIN_SHUTDOWN,
    ),
    "an intent for another process": (
        found(POWERED_OFF, intent=intent("powerdown", pid=PID + 1)),
        Cause.USER_POWEROFF,
    ),
    "isa-debug-exit": (exited(33), Cause.EXITED),
    "exit status 0 without a word": (exited(0), Cause.EXITED),
    "watchdog power-off": (exited(0, event("WATCHDOG", "poweroff")), Cause.WATCHDOG),
    "watchdog reset with -no-reboot": (
        found(event("WATCHDOG", "reset"), event("SHUTDOWN", "guest-reset", guest=True)),
        Cause.WATCHDOG,
    ),
    "watchdog reset, powered off later": (
        found(event("WATCHDOG", "reset"), event("RESET", "guest-reset"), POWERED_OFF),
        Cause.USER_POWEROFF,
    ),
    "watchdog shutdown": (
        found(event("WATCHDOG", "shutdown", ago=4), event("POWERDOWN", ago=4), POWERED_OFF),
        Cause.WATCHDOG,
    ),
    "watchdog shutdown ignored, powered off much later": (
        found(event("WATCHDOG", "shutdown", ago=500), event("POWERDOWN", ago=500), POWERED_OFF),
        Cause.USER_POWEROFF,
    ),
    "watchdog pause, then quit": (
        found(event("WATCHDOG", "pause"), event("STOP"), QUIT),
        Cause.WATCHDOG,
    ),
    "watchdog without an action, then powered off": (
        found(event("WATCHDOG", "none"), event("WATCHDOG", "inject-nmi"), POWERED_OFF),
        Cause.USER_POWEROFF,
    ),
    "host rebooted": (
        found(host_rebooted=True, attached_at_end=False, attachment=evidences.Attachment.PART),
        Cause.HOST_REBOOT,
    ),
    "old qemu's bare SHUTDOWN": (found(event("SHUTDOWN")), Cause.USER_POWEROFF),
    "old qemu's bare SHUTDOWN after a powerdown": (
        found(event("POWERDOWN", ago=5), event("SHUTDOWN")),
        Cause.ADMIN_SHUTDOWN,
    ),
    "QEMU 3's SHUTDOWN from the host": (found(event("SHUTDOWN", guest=False)), Cause.UNKNOWN),
    "QEMU 3's SHUTDOWN from the host, announced": (
        found(event("SHUTDOWN", guest=False), intent=intent("quit")),
        Cause.ADMIN_QUIT,
    ),
    "QEMU 3's SHUTDOWN from the guest": (found(event("SHUTDOWN", guest=True)), Cause.USER_POWEROFF),
    "a reason from a later qemu": (
        found(event("SHUTDOWN", "guest-whim", guest=True)),
        Cause.UNKNOWN,
    ),
    "ended unseen, nothing known": (found(attached_at_end=False), Cause.UNKNOWN),
    "ended unseen with exit status 0": (exited(0, attached_at_end=False), Cause.UNKNOWN),
    "panic seen before a restart, ended unseen": (
        found(event("GUEST_PANICKED", "pause"), attached_at_end=False),
        Cause.GUEST_PANIC,
    ),
    "end of file only and no exit status": (found(socket_left=True), Cause.UNKNOWN),
    "duplicate SHUTDOWN: the first one counts": (found(POWERED_OFF, QUIT), Cause.USER_POWEROFF),
}


@pytest.mark.parametrize(("evidence", "expected"), TABLE.values(), ids=TABLE.keys())
def test_evidence_gives_the_cause_of_the_table(
    evidence: evidences.Evidence, expected: Cause
) -> None:
    assert cause.classify(evidence).cause is expected


@pytest.mark.parametrize("evidence", [e for e, c in TABLE.values() if c is Cause.UNKNOWN])
def test_unknown_always_names_what_is_missing_or_not_understood(
    evidence: evidences.Evidence,
) -> None:
    verdict = cause.classify(evidence)
    assert verdict.missing or "not known" in verdict.why


def test_no_shutdown_event_is_needed_to_tell_that_it_lacks_the_reason() -> None:
    verdict = cause.classify(found(event("SHUTDOWN")))
    assert any("reason" in text for text in verdict.missing)


def test_the_window_is_a_setting() -> None:
    evidence = found(event("POWERDOWN", ago=10), POWERED_OFF)
    assert cause.classify(evidence, powerdown_window=5).cause is Cause.USER_POWEROFF
    assert cause.classify(evidence, powerdown_window=15).cause is Cause.ADMIN_SHUTDOWN


def test_stronger_evidence_decides_before_weaker() -> None:
    events: ledger.Events = (
        event("MIGRATION", "completed"),
        event("GUEST_PANICKED", "pause"),
        event("WATCHDOG", "pause"),
        event("SUSPEND_DISK"),
        QUIT,
    )
    killed = evidences.ExitStatus(wait_status=signal.SIGKILL)
    fields: dict[str, Any] = {
        "host_rebooted": True,
        "oom_kills": 1,
        "exit": killed,
        "intent": intent("powerdown"),
    }
    order = []
    while True:
        verdict = cause.classify(found(events=events, **fields))
        order.append(verdict.cause)
        match verdict.cause:
            case Cause.MIGRATED | Cause.GUEST_PANIC | Cause.WATCHDOG:
                events = events[1:]
            case Cause.HOST_REBOOT:
                fields["host_rebooted"] = False
            case Cause.OOM_KILLED:
                fields["oom_kills"] = 0
            case Cause.KILLED:
                fields["exit"] = None
            case Cause.ADMIN_QUIT:
                events = (event("SUSPEND_DISK"), event("SHUTDOWN", "guest-reset", guest=True))
            case Cause.GUEST_REBOOT:
                events = (event("SUSPEND_DISK"), POWERED_OFF)
            case Cause.ADMIN_SHUTDOWN:
                fields["intent"] = None
            case Cause.USER_HIBERNATE:
                events = (POWERED_OFF,)
            case _:
                break
    assert order == [
        Cause.MIGRATED,
        Cause.HOST_REBOOT,
        Cause.OOM_KILLED,
        Cause.KILLED,
        Cause.GUEST_PANIC,
        Cause.WATCHDOG,
        Cause.ADMIN_QUIT,
        Cause.GUEST_REBOOT,
        Cause.ADMIN_SHUTDOWN,
        Cause.USER_HIBERNATE,
        Cause.USER_POWEROFF,
    ]
