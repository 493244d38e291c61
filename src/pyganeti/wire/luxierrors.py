"""Errors on LUXI and in jobs' results: ``["OpPrereqError", ["no such disk", "unknown_entity"]]``.

A Failure goes out by the name it has on the wire. Coming in, a name that callers act on becomes the
class that is for it, any other one `Answered`, which keeps the name and what came with it; nothing
that a master daemon can say is lost, and everything has a sentence for an operator.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from pyganeti.base import errors

CODES: Final = frozenset(
    {
        "already_exists",
        "environment_error",
        "insufficient_resources",
        "internal_error",
        "resolver_error",
        "resource_not_unique",
        "temp_insufficient_resources",
        "unknown_entity",
        "wrong_input",
        "wrong_state",
    }
)
"""Ganeti's words for why an operation's prerequisites are not met."""


class Answered(errors.Failure):
    """What a master daemon said that has no class of its own here.

    ``name`` is its name on the wire, None if it was a bare text; ``details`` came with it.
    """

    def __init__(self, name: str | None, details: Sequence[Any]) -> None:
        self.name = name
        self.details = list(details)
        super().__init__(_sentence(name, self.details))

    @property
    def wire_args(self) -> list[Any]:
        """What came with it."""
        return self.details


class Protocol(errors.Failure):
    """The other side does not speak LUXI as we do."""

    wire_code = "LuxiError"


class JobLost(errors.Failure):
    """There is no such job, or its file cannot be read; it will not come back."""

    wire_code = "JobLost"


class JobCanceled(errors.Failure):
    """Somebody cancelled the job."""

    wire_code = "JobCanceled"


class QueueDrained(errors.Failure):
    """The queue takes no jobs until somebody undrains it."""

    wire_code = "JobQueueDrainError"


class QueueFull(errors.Exhausted):
    """Too many jobs are unarchived; archive some and try again."""

    wire_code = "JobQueueFull"


class OperationFailed(errors.Failure):
    """An operation began and did not come to its end."""

    wire_code = "OpExecError"


class WrongParameter(errors.Failure):
    """A field or parameter that there is not, or that does not go with the others."""

    wire_code = "ParameterError"


_SIMPLE: Final[dict[str, type[errors.Failure]]] = {
    kind.wire_code: kind
    for kind in (
        JobCanceled,
        JobLost,
        OperationFailed,
        Protocol,
        QueueDrained,
        QueueFull,
        WrongParameter,
    )
}

_DEFAULTS: Final = {
    "JobQueueFull": "the job queue is full: archive jobs (gnt-job autoarchive) and try again",
    "JobQueueDrainError": "the job queue is drained: it takes no jobs (gnt-cluster queue undrain)",
}


class ExitCode:
    """What a command ends with; Ganeti's numbers, which scripts know."""

    SUCCESS: ClassVar[int] = 0
    FAILURE: ClassVar[int] = 1
    CONFIGURATION: ClassVar[int] = 2
    NOT_CLUSTER: ClassVar[int] = 5
    NOT_MASTER: ClassVar[int] = 11
    NODE_SETUP: ClassVar[int] = 12
    CONFIRMATION: ClassVar[int] = 13
    UNKNOWN_FIELD: ClassVar[int] = 14


def encode(failure: errors.Failure) -> list[Any]:
    """Return a failure as it goes over the wire and into job files."""
    if isinstance(failure, Answered) and failure.name is not None:
        return [failure.name, failure.details]
    return [failure.wire_code, failure.wire_args]


def looks_encoded(value: object) -> bool:
    """Say whether a job's result is a failure and not an operation's own list of two."""
    match value:
        case [str(name), list()]:
            return name.endswith("Error") or name in _NAMES
    return False


def decode(value: object) -> errors.Failure:
    """Return the failure that an answer or a job's result says; whatever it is, there is one."""
    match value:
        case ["OpPrereqError", [str(message), str(code)]]:
            return errors.BadInput(message, code)
        case ["OpPrereqError", [str(message)]]:
            return errors.BadInput(message)
        case [str(name), list(details)] if name in _SIMPLE:
            return _SIMPLE[name](_sentence(name, details))
        case ["GenericError", [str(message)]]:
            return errors.Failure(message)
        case [str(name), list(details)]:
            return Answered(name, details)
    return Answered(None, [value])


def exit_code(failure: errors.Failure) -> int:
    """Return what a command ends with that could do nothing about a failure."""
    if isinstance(failure, Answered) and failure.name in _CONFIGURATION:
        return ExitCode.CONFIGURATION
    return ExitCode.FAILURE


_CONFIGURATION: Final = frozenset(
    {"ConfigurationError", "ConfigVerifyError", "ConfigVersionMismatch"}
)
_NAMES: Final = frozenset(
    {
        "ConfigVersionMismatch",
        "HooksAbort",
        "HooksFailure",
        "JobCanceled",
        "JobFileCorrupted",
        "JobLost",
        "JobQueueFull",
        "OpCodeUnknown",
    }
)


def _sentence(name: str | None, details: Sequence[Any]) -> str:
    match name, details:
        case "HooksAbort", [list(scripts)]:
            return "a hook forbade it: " + "; ".join(map(_hook, scripts))
        case "ResolverError", [host, *_]:
            return f"the name {host} cannot be resolved"
        case ("ConfigVerifyError", [str(message), list(found)]):
            return "; ".join([message, *map(str, found)])
        case _, [str(message)]:
            return message
        case _, []:
            return _DEFAULTS.get(name or "", f"it failed with {name or 'no word'}")
    return ", ".join(str(held) for held in details)


def _hook(script: object) -> str:
    match script:
        case [node, name, output]:
            return f"{name} on {node}" + (f" says: {output}" if output else "")
    return str(script)
