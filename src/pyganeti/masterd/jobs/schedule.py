"""Which job is next: those that wait for no other job, by priority, then by age. Pure.

A job waits for all jobs that any of its opcodes depends on, as long as they are under way here.
"""

import heapq
from collections.abc import Iterable
from typing import Final


class Schedule:
    """Jobs that are queued."""

    def __init__(self) -> None:
        self._priorities: Final[dict[int, int]] = {}
        self._missing: Final[dict[int, set[int]]] = {}
        self._dependents: Final[dict[int, set[int]]] = {}
        self._ready: Final[list[tuple[int, int]]] = []

    def __len__(self) -> int:
        return len(self._priorities)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._priorities

    def add(self, job_id: int, priority: int, waits_for: Iterable[int]) -> None:
        """Queue a job that waits for others, none of which has ended."""
        self._priorities[job_id] = priority
        missing = set(waits_for)
        if not missing:
            heapq.heappush(self._ready, (priority, job_id))
            return
        self._missing[job_id] = missing
        for other in missing:
            self._dependents.setdefault(other, set()).add(job_id)

    def remove(self, job_id: int) -> None:
        """Queue a job no longer. Those that wait for it wait on, until it has `ended`."""
        self._priorities.pop(job_id, None)
        for other in self._missing.pop(job_id, ()):
            dependents = self._dependents[other]
            dependents.discard(job_id)
            if not dependents:
                del self._dependents[other]

    def prioritize(self, job_id: int, priority: int) -> None:
        """Change a queued job's priority."""
        if self._priorities[job_id] == priority:
            return
        self._priorities[job_id] = priority
        if job_id not in self._missing:
            heapq.heappush(self._ready, (priority, job_id))

    def ended(self, job_id: int) -> None:
        """Take note that a job is under way no longer."""
        for dependent in self._dependents.pop(job_id, ()):
            missing = self._missing[dependent]
            missing.discard(job_id)
            if not missing:
                del self._missing[dependent]
                heapq.heappush(self._ready, (self._priorities[dependent], dependent))

    def take(self) -> int | None:
        """Take the next job out of the queue; None if there is none that could begin."""
        while self._ready:
            priority, job_id = heapq.heappop(self._ready)
            # What was removed, or has another priority since, has left its entry behind.
            if self._priorities.get(job_id) == priority and job_id not in self._missing:
                del self._priorities[job_id]
                return job_id
        return None
