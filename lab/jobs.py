"""Waiting for jobs of a queue, as clients do: by their changes."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from lab import carriers
from pyganeti.masterd.jobs import fields, queue

Opened: TypeAlias = tuple[queue.Queue, carriers.Carrier]
Opening: TypeAlias = Callable[..., AbstractAsyncContextManager[Opened]]
"""What opens a queue, as a daemon that starts."""

ENDED = frozenset({"success", "error", "canceled"})


async def state(jobs: queue.Queue, job_id: int) -> str:
    """Return a job's state; "lost" if it is not there."""
    [(_, found)] = await jobs.get([job_id], archived=True)
    return "lost" if found is None else fields.FIELDS["status"](found)


async def reach(jobs: queue.Queue, job_id: int, wanted: str, patience: float = 10.0) -> None:
    """Wait until a job is in a state."""
    await until(jobs, job_id, frozenset({wanted}), patience)


async def ended(jobs: queue.Queue, *job_ids: int, patience: float = 20.0) -> list[str]:
    """Wait until jobs have ended, and return how."""
    return list(await asyncio.gather(*(until(jobs, job_id, ENDED, patience) for job_id in job_ids)))


async def until(
    jobs: queue.Queue, job_id: int, wanted: frozenset[str], patience: float = 10.0
) -> str:
    """Wait until a job is in one of some states, and return which."""
    seen: Any = None
    async with asyncio.timeout(patience):
        while True:
            answer = await jobs.wait_for_change(job_id, ["status"], seen, 10**9, patience)
            if answer == "nochange":
                continue
            seen = answer[0]
            if seen[0] in wanted:
                return str(seen[0])
            if seen[0] in ENDED:
                raise AssertionError(f"job {job_id} ended in {seen[0]}, not in {sorted(wanted)}")


async def result(jobs: queue.Queue, job_id: int) -> list[Any]:
    """Return the results of a job's opcodes."""
    [(_, found)] = await jobs.get([job_id], archived=True)
    if found is None:
        raise LookupError(f"job {job_id} is lost")
    return [op.result for op in found.job.ops]
