"""Parameters as people type them: ``memory=512M,vcpus=2``, ``0:link=br0``, ``kvm:acpi=no``.

In a list of settings ``name`` alone means yes, ``no_name`` no, and ``-name`` back to the default. A
comma that belongs to a value is written with a backslash before it. Which type a value has is
decided by the defaults that the cluster's parameters have.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import click

from pyganeti.base import durations, errors
from pyganeti.cli import units
from pyganeti.model import hvparams
from pyganeti.model.config import defaults

DEFAULT: Final = "default"
"""The value that stands for: as the next level above has it."""

_PIECES: Final = re.compile(r"(?:\\.|[^,\\])+")
_ESCAPE: Final = re.compile(r"\\(.)")
_YES: Final = frozenset({"yes", "true", "on", "1", "y"})
_NO: Final = frozenset({"no", "false", "off", "0", "n"})
_AMOUNTS: Final = frozenset({"maxmem", "minmem", "memory", "size"})


def settings(text: str) -> dict[str, Any]:
    """Return ``a=1,b,no_c,-d`` as {a: "1", b: True, c: False, d: "default"}; raises BadInput."""
    found: dict[str, Any] = {}
    for piece in _PIECES.findall(text):
        name, sign, value = piece.partition("=")
        name = _ESCAPE.sub(r"\1", name.strip())
        result: Any = _ESCAPE.sub(r"\1", value)
        if not sign:
            if name.startswith("no_"):
                name, result = name[3:], False
            elif name.startswith("-"):
                name, result = name[1:], DEFAULT
            else:
                result = True
        if not name:
            raise errors.BadInput(f"{text!r}: a parameter without a name")
        if name in found:
            raise errors.BadInput(f"{text!r}: {name} is there twice")
        found[name] = result
    return found


def is_yes(text: str) -> bool:
    """Return whether a word is a yes; raises BadInput for one that is neither yes nor no."""
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise errors.BadInput(f"say yes or no, not {text!r}")
    return word in _YES


def identified(text: str) -> tuple[str, dict[str, Any]]:
    """Return ``kvm:acpi=no`` as ("kvm", {…}); without settings the second is empty."""
    name, _, rest = text.partition(":")
    return name.strip(), settings(rest) if rest else {}


def typed(given: Mapping[str, Any], known: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return parameters with the types that their defaults have; raises BadInput by name.

    A parameter without a known default is refused: it is a mistake that would go unnoticed.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise errors.BadInput(f"{what}: there is no parameter {name!r}")
        found[name] = _typed(name, value, known[name], what)
    return found


def by_name(
    given: Iterable[tuple[str, Mapping[str, Any]]],
    known: Mapping[str, Mapping[str, Any]],
    what: str,
) -> dict[str, dict[str, Any]]:
    """Return ``kvm:acpi=no`` and its like by name, with their types; raises BadInput by name."""
    found: dict[str, dict[str, Any]] = {}
    for name, own in given:
        if name not in known:
            raise errors.BadInput(f"there is no {what} {name!r}")
        found.setdefault(name, {}).update(typed(own, known[name], f"parameters of {name}"))
    return found


def backend(text: str) -> dict[str, Any]:
    """Return backend parameters; ``memory`` is both the least and the most."""
    given = settings(text)
    if "memory" in given:
        memory = given.pop("memory")
        given.setdefault("maxmem", memory)
        given.setdefault("minmem", memory)
    return typed(given, defaults.BACKEND, "backend parameters")


def hypervisor(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return hypervisor parameters with their types."""
    filled = hvparams.HvParams()
    known = {name: getattr(filled, name) for name in hvparams.KNOWN}
    return typed(given, known, "hypervisor parameters")


def ranges(text: str) -> list[tuple[int, int]]:
    """Return ``4000-4019,4030`` as pairs of both ends; raises BadInput."""
    found: list[tuple[int, int]] = []
    for piece in filter(None, text.split(",")):
        low, _, high = piece.partition("-")
        try:
            pair = int(low), int(high or low)
        except ValueError as error:
            raise errors.BadInput(f"{piece!r} is no range such as 4000-4019") from error
        if not 0 <= pair[0] <= pair[1]:
            raise errors.BadInput(f"{piece!r} is no range: its ends are the wrong way round")
        found.append(pair)
    found.sort()
    for before, after in itertools.pairwise(found):
        if after[0] <= before[1]:
            raise errors.BadInput(f"{text!r}: {after[0]} is there twice")
    return found


def _typed(name: str, value: Any, default: Any, what: str) -> Any:  # noqa: ANN401 - of any type
    if value == DEFAULT:
        return DEFAULT
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        try:
            return is_yes(str(value))
        except errors.BadInput as error:
            raise errors.BadInput(f"{what}: {name} is yes or no, not {value!r}") from error
    if isinstance(value, bool):
        if isinstance(default, str) and not value:
            return ""
        raise errors.BadInput(f"{what}: {name} needs a value: {name}=…")
    if isinstance(default, int):
        if name in _AMOUNTS:
            return units.mebibytes(value)
        try:
            return int(value)
        except ValueError as error:
            raise errors.BadInput(f"{what}: {name} is a number, not {value!r}") from error
    if isinstance(default, float):
        try:
            return float(value)
        except ValueError as error:
            raise errors.BadInput(f"{what}: {name} is a number, not {value!r}") from error
    return value


class Parsed(click.ParamType[Any]):
    """Click's view of text that one of the functions here understands."""

    def __init__(self, shown: str, parse: Callable[[str], Any]) -> None:
        self.name = shown
        self._parse = parse

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ANN401 - click's
        """Return what the text means; what is none any more stays as it is."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except errors.BadInput as error:
            return self.fail(str(error), param, ctx)


YES_NO: Final = Parsed("yes|no", is_yes)
SETTINGS: Final = Parsed("a=1,b=2", settings)
IDENTIFIED: Final = Parsed("id:a=1,b=2", identified)
BACKEND: Final = Parsed("memory=512M,vcpus=1", backend)
HYPERVISOR: Final = Parsed("acpi=no,boot_order=cdrom", lambda text: hypervisor(settings(text)))
AMOUNT: Final = Parsed("size", units.mebibytes)
TIME: Final = Parsed("time", durations.seconds)
