"""A rule about which jobs may run."""

from typing import Any

from pyganeti.model.config import record
from pyganeti.model.config.record import written


class FilterRule(record.Record, frozen=True, kw_only=True):
    """One rule: what it does to jobs that match all its predicates, lower ``priority`` first.

    A predicate is a pair: jobid, opcode or reason, and a filter of the query language. ``action``
    is ACCEPT, PAUSE, REJECT, CONTINUE, or the list of RATE_LIMIT and a number. ``watermark`` is
    the last job's number when the rule was made.
    """

    watermark: int = written(0)
    priority: int = written(0)
    predicates: tuple[tuple[str, Any], ...] = written(())
    action: str | tuple[str, int] = written("CONTINUE")
    reason_trail: tuple[Any, ...] = written(())
    uuid: str
