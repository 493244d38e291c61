"""The few errors that callers can do something about, named by what that is.

A foreign error (OSError, sqlite3.Error, a decoder's) becomes one of these at the edge where it is
understood, with ``raise ... from``; an OSError that only says "the disk is full" or "no such file"
about a path the caller named stays an OSError. Each class has the name by which Ganeti's protocols
know it, so that a failure can be sent to any client.
"""

from typing import Any, ClassVar


class Failure(Exception):
    """Something did not work, and the message says what, in words for an operator."""

    wire_code: ClassVar[str] = "GenericError"

    exit_status: ClassVar[int] = 1
    """How a program ends that could not go on because of it."""

    @property
    def wire_args(self) -> list[Any]:
        """What goes with the name on the wire: the message, as a rule."""
        return [str(self)]


class BadInput(Failure):
    """The caller asked for something that makes no sense; asking again will not help.

    ``code`` is Ganeti's word for which kind of no sense: wrong_input, unknown_entity,
    already_exists, wrong_state, insufficient_resources, temp_insufficient_resources,
    resource_not_unique, resolver_error, environment_error, internal_error.
    """

    wire_code = "OpPrereqError"

    def __init__(self, message: str, code: str = "wrong_input") -> None:
        super().__init__(message)
        self.code = code

    @property
    def wire_args(self) -> list[Any]:
        """The message, and the code."""
        return [str(self), self.code]


class Denied(Failure):
    """It exists but may not be used: permissions, or a thing of another kind in its place."""


class Unavailable(Failure):
    """A service, a device or a kernel's ability is not there, now or at all; do without it."""


class Exhausted(Failure):
    """No descriptors, memory or space left; try again when something was given back."""


class Damaged(Failure):
    """Stored data cannot be understood; set it aside."""


class Refused(Failure):
    """Another process was asked, and answered in its own words that it did not do it."""

    wire_code = "OpExecError"


class Interrupted(Failure):
    """It was given up before its end: a deadline passed or the process is ending."""


class AlreadyRunning(Failure):
    """Another process does this already.

    ``pid`` is None if the other one cannot be seen from here (another container, or just gone);
    ``name`` is its command name, empty if unknown; ``what`` is what it holds.
    """

    wire_code = "PidFileLockError"

    def __init__(self, name: str, pid: int | None, what: str) -> None:
        self.name = name
        self.pid = pid
        self.what = what
        who = f"{name or 'a process'} (pid {pid})" if pid is not None else "another process"
        super().__init__(f"{who} has {what} already")
