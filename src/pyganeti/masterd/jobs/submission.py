"""Opcodes as somebody sent them become a job: numbers resolved, the reason trail grown. Pure.

The opcodes are checked already (`model.opcodes`); what is looked at here is what concerns the
queue. Raises BadInput with words for who submitted.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pyganeti.base import errors
from pyganeti.masterd.jobs import lifecycle, moments
from pyganeti.wire import jobfile


def make(
    job_id: int, opcodes: Sequence[Mapping[str, Any]], earlier: Sequence[int | None], now: float
) -> jobfile.Job:
    """Return a job that is queued.

    ``earlier`` are the numbers of those before it in the same submission, for dependencies that
    count back; None is one that was refused.
    """
    if not opcodes:
        raise errors.BadInput("A job needs at least one opcode")
    received = moments.split(now)
    ops = []
    for index, given in enumerate(opcodes):
        opcode = jobfile.plain(dict(given))
        opcode["depends"] = _resolved(opcode.get("depends"), earlier)
        opcode["reason"] = [*(opcode.get("reason") or []), _reason(job_id, index, opcode, received)]
        ops.append(
            jobfile.Opcode(
                input=opcode,
                status=jobfile.Status.QUEUED,
                priority=_priority(opcode.get("priority")),
            )
        )
    return jobfile.Job(id=job_id, ops=tuple(ops), received_timestamp=received)


def dependencies(op: jobfile.Opcode) -> list[tuple[int, list[str]]]:
    """Return the jobs that an opcode waits for, and how each may have ended (empty: anyhow)."""
    found = []
    for dependency in op.input.get("depends") or ():
        number, accepted = dependency
        found.append((int(number), list(accepted)))
    return found


def inherit(
    jobs: Sequence[Sequence[Mapping[str, Any]]], opcode: Mapping[str, Any], level: int
) -> list[list[dict[str, Any]]]:
    """Return further jobs that an opcode asks for, with what they have from it."""
    submitted_by = f"Submitted by {opcode.get('OP_ID')}"
    return [
        [
            {
                **given,
                "priority": level if given.get("priority") is None else given["priority"],
                "comment": given.get("comment") or submitted_by,
                "debug_level": given.get("debug_level") or opcode.get("debug_level", 0),
                "reason": [*(given.get("reason") or []), *(opcode.get("reason") or [])],
            }
            for given in job
        ]
        for job in jobs
    ]


def _resolved(depends: Any, earlier: Sequence[int | None]) -> list[list[Any]] | None:  # noqa: ANN401 - JSON
    if depends is None:
        return None
    resolved = []
    for dependency in depends:
        match dependency:
            case [int(number), [*accepted]] if not isinstance(number, bool):
                pass
            case _:
                raise errors.BadInput(f"not a dependency on a job: {dependency!r}")
        if not all(isinstance(state, str) and state in jobfile.ENDED for state in accepted):
            raise errors.BadInput(f"a job does not end as any of {accepted!r}")
        if number < 0:
            if -number > len(earlier):
                raise errors.BadInput(
                    f"there is no job {-number} before this one in the same submission"
                )
            resolved_number = earlier[number]
            if resolved_number is None:
                raise errors.BadInput(f"job {-number} before this one was refused")
            number = resolved_number
        resolved.append([number, list(accepted)])
    return resolved


def _priority(level: Any) -> int:  # noqa: ANN401 - JSON
    if level is None:
        return lifecycle.DEFAULT
    if not isinstance(level, int) or not lifecycle.HIGHEST <= level <= lifecycle.LOWEST:
        raise errors.BadInput(
            f"a priority is from {lifecycle.HIGHEST} to {lifecycle.LOWEST}, not {level!r}"
        )
    return level


def _reason(
    job_id: int, index: int, opcode: Mapping[str, Any], received: jobfile.Timestamp
) -> list[Any]:
    name = str(opcode.get("OP_ID", "")).removeprefix("OP_").lower()
    return [f"gnt:opcode:{name}", f"job={job_id};index={index}", moments.nanoseconds(received)]
