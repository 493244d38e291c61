"""Everything about one thing, indented: what the ``info`` sub-commands print.

What is nested is a list of pairs, for its order counts; other lists are lists. The form is that of
YAML, which programs can read, too, though for them there is ``--json``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Pairs = Sequence[tuple[str, Any]]

_STEP: Final = "  "


def lines(value: Any) -> list[str]:  # noqa: ANN401 - whatever there is to tell
    """Return the lines that tell a value."""
    return list(_tell(value, ""))


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the same as JSON has it: pairs become objects."""
    if _is_pairs(value):
        return {key: plain(one) for key, one in value}
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def _tell(value: Any, indent: str) -> Iterator[str]:  # noqa: ANN401 - see lines
    if isinstance(value, Mapping):
        value = list(value.items())
    if _is_pairs(value):
        for key, one in value:
            if _is_nested(one):
                yield f"{indent}{key}:"
                yield from _tell(one, indent + _STEP)
            else:
                yield f"{indent}{key}: {_scalar(one)}"
    elif isinstance(value, (list, tuple)):
        for one in value:
            if _is_nested(one):
                first, *others = list(_tell(one, indent + _STEP))
                yield f"{indent}- {first.removeprefix(indent + _STEP)}"
                yield from others
            else:
                yield f"{indent}- {_scalar(one)}"
    else:
        yield f"{indent}{_scalar(value)}"


def _is_nested(value: Any) -> bool:  # noqa: ANN401 - see lines
    return isinstance(value, (Mapping, list, tuple)) and bool(value)


def _is_pairs(value: Any) -> bool:  # noqa: ANN401 - see lines
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str)  # noqa: PLR2004 - a pair
            for one in value
        )
    )


def _scalar(value: Any) -> str:  # noqa: ANN401 - see lines
    if isinstance(value, (Mapping, list, tuple)):
        return "-"
    return str(value)
