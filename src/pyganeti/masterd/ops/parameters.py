"""Parameters as they are after a change: what is new above what was, ``default`` takes one away."""

from typing import Any, Final

from pyganeti.base import errors
from pyganeti.model.config.record import Params

DEFAULT: Final = "default"
"""The value that stands for: have none of one's own."""

_WORDS: Final = {"false": False, "no": False, "true": True, "yes": True}


def merged(before: Params, given: Params, *, null_takes_away: bool = False) -> dict[str, Any]:
    """Return parameters with those given put above; neither is changed."""
    found = dict(before)
    for name, value in given.items():
        if value == DEFAULT or (null_takes_away and value is None):
            found.pop(name, None)
        else:
            found[name] = value
    return found


def typed(given: Params, right: Params, what: str) -> dict[str, Any]:
    """Return parameters with the types that the right ones have; ``default`` stays.

    Ganeti's clients send what people type as text: numbers and yes or no may be written out.
    Raises BadInput for a parameter that is not among the right ones, or cannot be of its type.
    """
    found = {}
    for name, value in given.items():
        if name not in right:
            raise errors.BadInput(f"there is no {what} parameter {name!r}")
        if value == DEFAULT:
            found[name] = value
            continue
        try:
            found[name] = _converted(value, right[name])
        except (TypeError, ValueError) as error:
            raise errors.BadInput(f"the {what} parameter {name} cannot be {value!r}") from error
    return found


def _converted(value: Any, right: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a value as another's type; raises TypeError or ValueError."""
    if isinstance(right, bool):
        if isinstance(value, str) and value.lower() in _WORDS:
            return _WORDS[value.lower()]
        return _same(value, bool)
    if isinstance(value, bool):
        if isinstance(right, str) and not value:
            return ""
        raise TypeError(value)
    if isinstance(right, float):
        return float(value)
    if isinstance(right, int):
        if isinstance(value, float) and not value.is_integer():
            raise ValueError(value)
        return int(value)
    return _same(value, type(right))


def _same(value: Any, kind: type) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(value, kind):
        raise TypeError(value)
    return value
