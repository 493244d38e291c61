"""Whether a job may begin now, by the cluster's filter rules and the limits in its own reasons.

Nobody who is not let in is lost: he is asked for again when a job has ended, or the rules are
others. Only what a rule rejects is canceled, by who asks.
"""

import enum
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from pyganeti.masterd.jobs import rules
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.wire import jobfile


class Verdict(enum.Enum):
    """What is to be done with a job whose turn it is."""

    BEGIN = enum.auto()
    WAIT = enum.auto()
    REJECT = enum.auto()


class Admission:
    """Lets jobs in, and counts those that are."""

    def __init__(self, current: Callable[[], Mapping[str, FilterRule]]) -> None:
        """Make one; ``current`` gives the rules of now by uuid, the same object while they are."""
        self._current = current
        self._seen: Mapping[str, FilterRule] = {}
        self._ordered: list[FilterRule] = []
        self._running: Final[dict[int, jobfile.Job]] = {}
        self._taken: Final = Counter[str]()

    def have_changed(self) -> bool:
        """Tell whether the rules are others than when this was asked last, and go by the new."""
        now = self._current()
        if now is self._seen or now == self._seen:
            return False
        self._seen = now
        self._ordered = rules.ordered(now.values())
        self._taken.clear()
        for job in self._running.values():
            self._taken.update(self._slots(job).keys())
        return True

    @property
    def has_rules(self) -> bool:
        """Whether there are any."""
        return bool(self._ordered)

    def is_rejected(self, job: jobfile.Job) -> bool:
        """Tell whether a rule wants a job canceled."""
        rule = rules.applying(self._ordered, job)
        return rule is not None and rule.action == "REJECT"

    def enter(self, job: jobfile.Job) -> Verdict:
        """Decide on a job whose turn it is; one that may begin counts from now on."""
        rule = rules.applying(self._ordered, job) if self._ordered else None
        if rule is not None and rule.action == "REJECT":
            return Verdict.REJECT
        if rule is not None and rule.action == "PAUSE":
            return Verdict.WAIT
        slots = self._slots(job)
        if any(self._taken[name] >= most for name, most in slots.items()):
            return Verdict.WAIT
        self._running[job.id] = job
        self._taken.update(slots.keys())
        return Verdict.BEGIN

    def leave(self, job_id: int) -> None:
        """Count a job no longer."""
        job = self._running.pop(job_id, None)
        if job is not None:
            self._taken.subtract(self._slots(job).keys())

    def _slots(self, job: jobfile.Job) -> dict[str, int]:
        """Return the places that a job takes while it runs, and how many there are of each."""
        found = {f"reason {name}": most for name, most in rules.buckets(job).items()}
        rule = rules.applying(self._ordered, job) if self._ordered else None
        most = None if rule is None else rules.limit(rule)
        if rule is not None and most is not None:
            found[f"rule {rule.uuid}"] = most
        return found


def nobody() -> Mapping[str, FilterRule]:
    """Return the rules of a cluster that has none."""
    return _NONE


_NONE: Final[Mapping[str, FilterRule]] = {}
