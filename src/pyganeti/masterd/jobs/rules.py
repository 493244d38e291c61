"""Which of the cluster's filter rules applies to a job, and what its reasons say. Pure.

A rule applies if all its predicates are true of the job; of those that do, the first counts that
does not say CONTINUE, in the order of priority, watermark and uuid. Conditions are those of the
query language, checked when the rule was made. What cannot be compared (a field that is not there,
a number with a text, an operator that has no place in such a predicate) makes a predicate false.

A reason ``rate-limit:N:WORDS`` in a job's trail makes a bucket, in which N jobs may run at a time.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from pyganeti.model.config.filterrule import FilterRule
from pyganeti.wire import jobfile

RATE_LIMIT: Final = "RATE_LIMIT"

_LIMITED: Final = re.compile(r"rate-limit:(\d{1,9}):(.*)", re.DOTALL | re.ASCII)
_WATERMARK: Final = "watermark"

Values: TypeAlias = Callable[[str], Any]
"""A field's value; raises KeyError if there is no such field."""


class _Incomparable(Exception):
    """A condition has no answer here."""


def ordered(rules: Iterable[FilterRule]) -> list[FilterRule]:
    """Return rules in the order in which they are looked at."""
    return sorted(rules, key=lambda rule: (rule.priority, rule.watermark, rule.uuid))


def applying(rules: Sequence[FilterRule], job: jobfile.Job) -> FilterRule | None:
    """Return the first of ordered rules that applies to a job and does not say to go on."""
    for rule in rules:
        if rule.action != "CONTINUE" and all(
            _matches(kind, condition, job, rule.watermark) for kind, condition in rule.predicates
        ):
            return rule
    return None


def limit(rule: FilterRule) -> int | None:
    """Return how many of its jobs may run at a time, None if a rule says nothing of that."""
    match rule.action:
        case [name, most] if name == RATE_LIMIT:
            return int(most)
    return None


def buckets(job: jobfile.Job) -> dict[str, int]:
    """Return how many jobs may run in each bucket that a job is in by its reasons."""
    found = {}
    for reason in _reasons(job):
        match reason:
            case [_, str(words), *_] if given := _LIMITED.fullmatch(words):
                most = int(given[1])
                if most > 0:
                    found[f"{most}:{given[2]}"] = most
    return found


def _matches(kind: str, condition: Any, job: jobfile.Job, watermark: int) -> bool:  # noqa: ANN401 - JSON
    match kind:
        case "jobid":
            return _holds(condition, _number_of(job.id), watermark)
        case "opcode":
            return any(_holds(condition, _parameter_of(op.input), None) for op in job.ops)
        case "reason":
            return any(
                _holds(condition, _part_of(reason), None, only_compares=True)
                for reason in _reasons(job)
            )
    return False


def _reasons(job: jobfile.Job) -> Iterable[Any]:
    for op in job.ops:
        yield from op.input.get("reason") or ()


def _number_of(number: int) -> Values:
    def value(field: str) -> int:
        if field != "id":
            raise KeyError(field)
        return number

    return value


def _part_of(reason: Any) -> Values:  # noqa: ANN401 - JSON
    parts = dict(zip(("source", "reason", "timestamp"), reason, strict=False))
    return parts.__getitem__


def _parameter_of(opcode: dict[str, Any]) -> Values:
    def value(field: str) -> Any:  # noqa: ANN401 - JSON
        found: Any = opcode
        for key in field.split("."):
            if not isinstance(found, dict):
                raise KeyError(field)
            found = found[key]
        return found

    return value


def _holds(
    condition: Any,  # noqa: ANN401 - JSON
    values: Values,
    watermark: int | None,
    *,
    only_compares: bool = False,
) -> bool:
    only_compares = only_compares or watermark is not None
    try:
        return _evaluate(condition, values, watermark, only_compares=only_compares)
    except _Incomparable:
        return False


def _evaluate(
    condition: Any,  # noqa: ANN401 - JSON
    values: Values,
    watermark: int | None,
    *,
    only_compares: bool,
) -> bool:
    def part(inner: Any) -> bool:  # noqa: ANN401 - JSON
        return _evaluate(inner, values, watermark, only_compares=only_compares)

    match condition:
        case None:
            return True
        case ["&", *parts]:
            return all([part(inner) for inner in parts])  # noqa: C419 - each has to have an answer
        case ["|", *parts]:
            return any([part(inner) for inner in parts])  # noqa: C419 - likewise
        case ["!", inner]:
            return not part(inner)
        case ["?", str(field)] if not only_compares:
            return bool(_value(values, field))
        case ["=~", str(field), str(pattern)] if not only_compares:
            found = _value(values, field)
            return isinstance(found, str) and re.search(pattern, found) is not None
        case ["=[]", str(field), wanted] if not only_compares:
            found = _value(values, field)
            return isinstance(found, list) and wanted in found
        case [str(operator), str(field), wanted]:
            if watermark is not None and wanted == _WATERMARK:
                wanted = watermark
            return _compare(operator, _value(values, field), wanted)
    raise _Incomparable


def _value(values: Values, field: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return values(field)
    except KeyError as error:
        raise _Incomparable from error


def _compare(operator: str, found: Any, wanted: Any) -> bool:  # noqa: ANN401 - JSON
    is_text = isinstance(found, str) and isinstance(wanted, str)
    numbers = isinstance(found, int | float) and isinstance(wanted, int | float)
    if not is_text and (not numbers or isinstance(found, bool)):
        raise _Incomparable
    match operator:
        case "=" | "==":
            return bool(found == wanted)
        case "!=":
            return bool(found != wanted)
        case "<":
            return bool(found < wanted)
        case "<=":
            return bool(found <= wanted)
        case ">":
            return bool(found > wanted)
        case ">=":
            return bool(found >= wanted)
    raise _Incomparable
