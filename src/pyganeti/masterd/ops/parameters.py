"""Parameters as they are after a change: what is new above what was, ``default`` takes one away."""

from typing import Any, Final

from pyganeti.base import errors
from pyganeti.model.config.record import Params

DEFAULT: Final = "default"
"""The value that stands for: have none of one's own."""


def merged(before: Params, given: Params, *, null_takes_away: bool = False) -> dict[str, Any]:
    """Return parameters with those given put above; neither is changed."""
    found = dict(before)
    for name, value in given.items():
        if value == DEFAULT or (null_takes_away and value is None):
            found.pop(name, None)
        else:
            found[name] = value
    return found


def known(given: Params, right: Params, what: str) -> None:
    """Raise BadInput for parameters that are not among the right ones, or of another type."""
    for name, value in given.items():
        if name not in right:
            raise errors.BadInput(f"there is no {what} parameter {name!r}")
        if value != DEFAULT and not is_like(value, right[name]):
            raise errors.BadInput(f"the {what} parameter {name} cannot be {value!r}")


def is_like(value: Any, right: Any) -> bool:  # noqa: ANN401 - JSON
    """Tell whether a value has the type of another; a whole number is a number."""
    if isinstance(right, bool) or isinstance(value, bool):
        return isinstance(right, bool) and isinstance(value, bool)
    if isinstance(right, float):
        return isinstance(value, int | float)
    return isinstance(value, type(right))
