"""What an administrator announced before acting on a qemu, so that its end is not misread."""

import enum

import msgspec


class IntentKind(enum.StrEnum):
    """The acts that can end or pause a qemu."""

    POWERDOWN = "powerdown"
    QUIT = "quit"
    KILL = "kill"
    MIGRATE = "migrate"
    RESET = "reset"
    SNAPSHOT = "snapshot"
    PAUSE = "pause"

    @property
    def asks_for_the_end(self) -> bool:
        """Whether a guest that powers itself off meanwhile only does what was asked of it."""
        return self in (IntentKind.POWERDOWN, IntentKind.QUIT, IntentKind.KILL)


class Intent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One announced act on one qemu; the content of ``NAME.intent``.

    ``written`` and ``deadline`` are seconds since the epoch; ``pid`` is the qemu's. An intent
    counts for that pid alone and until its deadline.
    """

    version: int = 1
    kind: IntentKind
    pid: int
    deadline: float
    written: float = 0.0
    job: int | None = None
    reason: str = ""
