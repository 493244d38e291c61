"""Which instances jobs are about, and which restarts jobs have tried. Pure.

A job is about an instance if an opcode of it that has not ended names it (by name, shortened or
whole, or by uuid), names its node and moves or stops what runs there, or its group likewise.
What only looks is about nobody.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pyganeti.model import cause as causes
from pyganeti.model.recovery import settings
from pyganeti.wire import reasontrail

PENDING: Final = frozenset({"queued", "waiting", "canceling", "running"})
"""The states of jobs, and of opcodes, that have not ended."""

_ONLY_LOOK: Final = frozenset(
    {
        "OP_INSTANCE_QUERY_DATA",
        "OP_INSTANCE_CONSOLE",
        "OP_TEST_ALLOCATOR",
        "OP_TEST_OS_PARAMS",
        "OP_TAGS_GET",
        "OP_TAGS_SEARCH",
    }
)
_ON_ALL_OF_A_NODE: Final = frozenset(
    {
        "OP_NODE_EVACUATE",
        "OP_NODE_MIGRATE",
        "OP_NODE_POWERCYCLE",
        "OP_NODE_REMOVE",
        "OP_NODE_SET_PARAMS",
        "OP_OOB_COMMAND",
    }
)
_ON_ALL_OF_A_GROUP: Final = frozenset({"OP_GROUP_EVACUATE"})
_TAGS: Final = frozenset({"OP_TAGS_SET", "OP_TAGS_DEL"})
_STARTUP: Final = "OP_INSTANCE_STARTUP"
_STARTING: Final = frozenset(
    {
        _STARTUP,
        "OP_INSTANCE_CREATE",
        "OP_INSTANCE_FAILOVER",
        "OP_INSTANCE_MIGRATE",
        "OP_INSTANCE_MOVE",
        "OP_INSTANCE_REBOOT",
        "OP_INSTANCE_RECREATE_DISKS",
        "OP_INSTANCE_REINSTALL",
    }
)
_FORGIVING: Final = frozenset({_STARTUP, "OP_INSTANCE_REBOOT", "OP_INSTANCE_FAILOVER"})


@dataclass(frozen=True, slots=True)
class Job:
    """What is read of a job: for each opcode its parameters, its state and its result.

    ``received`` is when it was submitted, ``begun`` when each opcode had its locks, in seconds
    since 1970; 0 for not yet.
    """

    number: int
    opcodes: Sequence[Mapping[str, Any]]
    states: Sequence[str]
    results: Sequence[Any] = ()
    received: float = 0.0
    begun: Sequence[float] = ()


@dataclass(slots=True)
class Mentioned:
    """Whom the jobs are about that have not ended: by name or uuid, in lower case, the jobs."""

    instances: dict[str, list[int]] = field(default_factory=dict)
    nodes: dict[str, list[int]] = field(default_factory=dict)
    groups: dict[str, list[int]] = field(default_factory=dict)

    def about(self, name: str, uuid: str, node: str, group: str) -> list[int]:
        """Return the jobs that are about an instance, on that node, in that group."""
        found: set[int] = set()
        for told, jobs in self.instances.items():
            if told == uuid or _is_short_for(told, name):
                found.update(jobs)
        for told, jobs in self.nodes.items():
            if _is_short_for(told, node):
                found.update(jobs)
        found.update(self.groups.get(group.lower(), ()))
        return sorted(found)


def of(jobs: Iterable[Job]) -> Mentioned:
    """Return whom jobs are about."""
    found = Mentioned()
    for job in jobs:
        for opcode, state in zip(job.opcodes, job.states, strict=False):
            if state in PENDING:
                _note(found, job.number, opcode)
    return found


@dataclass(slots=True)
class Begun:
    """When jobs last began to start instances, or to move them, by name as it was given."""

    moments: dict[str, float] = field(default_factory=dict)

    def last(self, name: str) -> float:
        """Return when that was for an instance, in seconds since 1970; 0 if it was never."""
        return max(
            (at for told, at in self.moments.items() if _is_short_for(told, name)), default=0.0
        )


def begun(jobs: Iterable[Job]) -> Begun:
    """Return what jobs tell of when instances were last to be started, however that ended."""
    found = Begun()
    for job in jobs:
        for opcode, at in zip(job.opcodes, job.begun, strict=False):
            if str(opcode.get("OP_ID")) in _STARTING and at:
                for told in _texts(opcode, "instance_name"):
                    found.moments[told.lower()] = max(found.moments.get(told.lower(), 0.0), at)
    return found


@dataclass(frozen=True, slots=True)
class Attempt:
    """A restart that the watcher tried: when it was submitted, in seconds since 1970."""

    job: int
    at: float
    cause: causes.Cause


def attempts(jobs: Iterable[Job]) -> dict[str, list[Attempt]]:
    """Return the restarts that the watcher has tried, by the instance's name as it was given.

    What a person had done after them, a start or the like, or forgave, makes them count no more.
    """
    jobs = list(jobs)
    since = forgiven(jobs)
    found: dict[str, list[Attempt]] = {}
    for job in sorted(jobs, key=lambda job: job.number):
        for opcode, state, result in zip(job.opcodes, job.states, job.results, strict=False):
            reason = opcode.get("reason")
            if opcode.get("OP_ID") != _STARTUP or not reasontrail.is_watchers(reason):
                continue
            name = str(opcode.get("instance_name"))
            is_needless = state == "success" and result is not None  # a text says why
            if not is_needless and job.number > since.get(name, 0):
                attempt = Attempt(job.number, job.received, _cause(reason))
                found.setdefault(name, []).append(attempt)
    return found


def forgiven(jobs: Iterable[Job]) -> dict[str, int]:
    """Return by the instance's name the last job by which a person forgave what was tried."""
    found: dict[str, int] = {}
    for job in jobs:
        for opcode, state in zip(job.opcodes, job.states, strict=False):
            if state != "success" or reasontrail.is_watchers(opcode.get("reason")):
                continue
            kind = str(opcode.get("OP_ID"))
            if kind in _FORGIVING:
                name = str(opcode.get("instance_name"))
            elif kind == "OP_TAGS_DEL" and _forgives(opcode):
                name = str(opcode.get("name"))
            else:
                continue
            found[name] = max(found.get(name, 0), job.number)
    return found


def _cause(reason: object) -> causes.Cause:
    told = reasontrail.recovery_of(reason)
    try:
        return causes.Cause("" if told is None else told.cause)
    except ValueError:
        return causes.Cause.UNKNOWN


def _forgives(opcode: Mapping[str, Any]) -> bool:
    tags = opcode.get("tags")
    return opcode.get("kind") == "instance" and any(
        isinstance(tag, str) and tag.startswith(settings.GAVE_UP)
        for tag in (tags if isinstance(tags, list) else ())
    )


def _note(found: Mentioned, number: int, opcode: Mapping[str, Any]) -> None:
    kind = str(opcode.get("OP_ID"))
    if kind in _ONLY_LOOK:
        return
    for told in _instances(opcode):
        found.instances.setdefault(told.lower(), []).append(number)
    if kind in _TAGS and opcode.get("kind") == "instance":
        found.instances.setdefault(str(opcode.get("name")).lower(), []).append(number)
    if kind in _ON_ALL_OF_A_NODE:
        for told in _texts(opcode, "node_name", "node_names"):
            found.nodes.setdefault(told.lower(), []).append(number)
    if kind in _ON_ALL_OF_A_GROUP:
        for told in _texts(opcode, "group_name"):
            found.groups.setdefault(told.lower(), []).append(number)


def _instances(opcode: Mapping[str, Any]) -> Iterator[str]:
    yield from _texts(opcode, "instance_name", "instance_uuid", "instances")
    several = opcode.get("instances")
    for one in several if isinstance(several, list) else ():
        if isinstance(one, Mapping):  # each is an opcode of its own
            yield from _texts(one, "instance_name")


def _texts(opcode: Mapping[str, Any], *names: str) -> Iterator[str]:
    for name in names:
        value = opcode.get(name)
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, str) and one:
                yield one


def _is_short_for(told: str, name: str) -> bool:
    """Tell whether a name, perhaps without its domain, means that one."""
    whole = name.lower()
    return told == whole or whole.startswith(told + ".")
