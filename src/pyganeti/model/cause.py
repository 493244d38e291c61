"""The closed set of reasons for which a guest can have stopped.

Exactly one is recorded for every stop. Ganeti's own single bit (the file ``NAME.shutdown`` exists
or not) is derived from it by `Cause.leaves_marker`, never the other way round.
"""

import enum


class Cause(enum.StrEnum):
    """Why a guest stopped. Values are stable: they are stored, exported and matched by tools."""

    USER_POWEROFF = "user-poweroff"
    USER_HIBERNATE = "user-hibernate"
    GUEST_REBOOT = "guest-reboot"
    GUEST_PANIC = "guest-panic"
    WATCHDOG = "watchdog"
    ADMIN_SHUTDOWN = "admin-shutdown"
    ADMIN_QUIT = "admin-quit"
    HOST_SIGNAL = "host-signal"
    ADMIN_KILL = "admin-kill"
    KILLED = "killed"
    OOM_KILLED = "oom-killed"
    CRASHED = "crashed"
    EXITED = "exited"
    MIGRATED = "migrated"
    HOST_REBOOT = "host-reboot"
    UNKNOWN = "unknown"

    @property
    def leaves_marker(self) -> bool:
        """Whether the user ended the guest from inside, which ``NAME.shutdown`` tells Ganeti."""
        return self in _BY_THE_USER

    @property
    def meaning(self) -> str:
        """One plain sentence without a subject, for people ("was powered off from inside")."""
        return _MEANINGS[self]


_BY_THE_USER = frozenset({Cause.USER_POWEROFF, Cause.USER_HIBERNATE})

_MEANINGS = {
    Cause.USER_POWEROFF: "powered itself off and nobody outside had asked for it",
    Cause.USER_HIBERNATE: "suspended itself to disk",
    Cause.GUEST_REBOOT: "reset itself, and its qemu was told to end on a reset",
    Cause.GUEST_PANIC: "reported a panic of its kernel",
    Cause.WATCHDOG: "was ended by its watchdog device",
    Cause.ADMIN_SHUTDOWN: "was asked by an administrator to power down, and did",
    Cause.ADMIN_QUIT: "ended because its qemu was told to quit",
    Cause.HOST_SIGNAL: "ended because its qemu got a signal that ends it in order",
    Cause.ADMIN_KILL: "was killed by an administrator who had announced it",
    Cause.KILLED: "was killed with SIGKILL by nobody who had announced it",
    Cause.OOM_KILLED: "was killed by the host's kernel because memory ran out",
    Cause.CRASHED: "ended because its qemu crashed",
    Cause.EXITED: "ended because its qemu exited by itself",
    Cause.MIGRATED: "was migrated and lives on elsewhere",
    Cause.HOST_REBOOT: "ended with its host, which booted anew",
    Cause.UNKNOWN: "ended for a reason that the evidence does not show",
}
