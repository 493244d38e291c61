"""Instance policies as people write and read them: bounds, the standard instance, the rest.

Bounds are ``min:memory-size=128,…/max:memory-size=…``, and more of those after ``//``: an instance
has to be within one of them.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from pyganeti.base import errors
from pyganeti.cli import details, params, units
from pyganeti.model.config import defaults

F = TypeVar("F", bound=Callable[..., Any])

_SPECS: Final = defaults.POLICY["std"]
_AMOUNTS: Final = frozenset({"disk-size", "memory-size"})
_ENDS: Final = frozenset({"max", "min"})


def spec(text: str) -> dict[str, int]:
    """Return ``memory-size=1g,cpu-count=2`` as numbers; raises BadInput."""
    found: dict[str, int] = {}
    for name, value in params.settings(text).items():
        if name not in _SPECS:
            raise errors.BadInput(f"a specification has no {name!r}, but {', '.join(_SPECS)}")
        try:
            found[name] = units.mebibytes(str(value)) if name in _AMOUNTS else int(value)
        except ValueError as error:
            raise errors.BadInput(f"{name} is a number, not {value!r}") from error
    return found


def bounds(text: str) -> list[dict[str, dict[str, int]]]:
    """Return ``min:…/max:…//min:…/max:…`` as pairs; raises BadInput."""
    found = []
    for pair in text.split("//"):
        ends: dict[str, dict[str, int]] = {}
        for part in pair.split("/"):
            end, _, rest = part.partition(":")
            if end not in _ENDS:
                raise errors.BadInput(f"{part!r}: bounds are min:…/max:…")
            ends[end] = spec(rest)
        for end in _ENDS:
            if missing := sorted(_SPECS.keys() - ends.get(end, {}).keys()):
                raise errors.BadInput(f"the bounds' {end} lacks {', '.join(missing)}")
        found.append(ends)
    return found


_OPTIONS: Final = (
    click.option(
        "--ipolicy-bounds-specs",
        type=params.Parsed("min:…/max:…", bounds),
        help="What instances have to be within: min:memory-size=…,…/max:…, more after //.",
    ),
    click.option(
        "--ipolicy-std-specs",
        type=params.Parsed("a=1,b=2", spec),
        help="What an instance is like that nobody says more of.",
    ),
    click.option(
        "--ipolicy-disk-templates", metavar="LIST", help="The disk templates that are allowed."
    ),
    click.option(
        "--ipolicy-vcpu-ratio", type=float, help="How many virtual processors a real one is for."
    ),
    click.option(
        "--ipolicy-spindle-ratio", type=float, help="How many instances a spindle is for."
    ),
)


def options(function: F) -> F:
    """Give a sub-command the options of policies; `taken` takes them from its keywords."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def taken(given: dict[str, Any]) -> dict[str, Any]:
    """Take the options out of a sub-command's keywords; return the policy, empty if there is none.

    Only what was said is in it.
    """
    templates = given.pop("ipolicy_disk_templates")
    said = {
        "minmax": given.pop("ipolicy_bounds_specs"),
        "std": given.pop("ipolicy_std_specs"),
        "disk-templates": None
        if templates is None
        else [one for one in templates.split(",") if one],
        "vcpu-ratio": given.pop("ipolicy_vcpu_ratio"),
        "spindle-ratio": given.pop("ipolicy_spindle_ratio"),
    }
    return {name: value for name, value in said.items() if value is not None}


def told(policy: Mapping[str, Any]) -> details.Pairs:
    """Return a whole policy for people to read."""
    return [
        (
            "bounds specs",
            [
                [(f"{end}/{place}", sorted(pair[end].items())) for end in ("min", "max")]
                for place, pair in enumerate(policy["minmax"])
            ],
        ),
        ("std", sorted(policy["std"].items())),
        ("allowed disk templates", ", ".join(policy["disk-templates"])),
        ("vcpu-ratio", policy["vcpu-ratio"]),
        ("spindle-ratio", policy["spindle-ratio"]),
    ]


def words(policy: Mapping[str, Any]) -> list[str]:
    """Return the options that make a policy's specifications what they are."""
    pairs = [
        f"min:{_written(pair['min'])}/max:{_written(pair['max'])}" for pair in policy["minmax"]
    ]
    return [
        "--ipolicy-std-specs",
        _written(policy["std"]),
        "--ipolicy-bounds-specs",
        "//".join(pairs),
    ]


def _written(specification: Mapping[str, int]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(specification.items()))
