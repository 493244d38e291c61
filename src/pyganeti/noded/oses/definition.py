"""OS definitions on this node: which there are, what is wrong with one, what it offers.

A definition is a folder below one of the places: ``ganeti_api_version`` lists the versions of the
interface it is written for (10, 15 or 20), scripts do the work, ``variants.list`` and
``parameters.list`` say what can be chosen. Read anew each time, since the administrator may change
it at any time. Blocking.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyganeti.base import errors, paths, siteprograms

VERSIONS: Final = frozenset({10, 15, 20})
"""Versions of the interface between Ganeti and definitions that are understood here."""

WITH_VARIANTS: Final = 15
WITH_PARAMETERS: Final = 20

_API: Final = "ganeti_api_version"
_VARIANTS: Final = "variants.list"
_PARAMETERS: Final = "parameters.list"
_CREATE: Final = "create"
_CREATE_UNTRUSTED: Final = "create_untrusted"
_REQUIRED: Final = ("export", "import", "rename")
_VERIFY: Final = "verify"
_PLACES: Final = ("srv/ganeti/os", "usr/local/share/ganeti/os", "usr/share/ganeti/os")
_SMALL: Final = 256 * 1024

SHIPPED: Final = Path(__file__).with_name("definitions")
"""What comes with the daemon: ``image``."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A usable definition. ``parameters`` are names with what they mean; ``scripts`` by name."""

    name: str
    folder: Path
    versions: tuple[int, ...]
    scripts: dict[str, Path]
    variants: tuple[str, ...] = ()
    parameters: tuple[tuple[str, ...], ...] = field(default=())

    @property
    def version(self) -> int:
        """The newest version of the interface that both sides understand."""
        return max(VERSIONS.intersection(self.versions))

    @property
    def is_trusted(self) -> bool:
        """Whether its create script may run on the node itself."""
        return _CREATE_UNTRUSTED not in self.scripts

    def script(self, name: str) -> Path:
        """Return a script; raises Unavailable if the definition has none of that name."""
        try:
            return self.scripts[name]
        except KeyError:
            raise errors.Unavailable(f"The OS {self.name} has no {name} script") from None


def split(name: str) -> tuple[str, str]:
    """Return an OS's own name and its variant, empty if none is named (``image+small``)."""
    own, _, variant = name.partition("+")
    return own, variant


def places(layout: paths.Paths) -> tuple[Path, ...]:
    """Return where definitions are looked for: the site's own first, what we ship last."""
    return (*(layout.root / place for place in _PLACES), SHIPPED)


def load(name: str, searched: Sequence[Path]) -> Definition:
    """Return the first definition of that name, which is without a variant.

    Raises Unavailable if there is none, Damaged, with what is wrong, if it is not usable.
    """
    if siteprograms.is_name(name):
        for place in searched:
            if (place / name).is_dir():
                return _load(name, place / name)
    raise errors.Unavailable(f"Directory for OS {name} not found in search path")


def check_choice(definition: Definition, variant: str) -> None:
    """Raise BadInput unless the definition has that variant, or has none and none is wanted."""
    name = definition.name
    if not definition.variants:
        if variant:
            raise errors.BadInput(f"OS '{name}' does not support variants ('{variant}' passed)")
        return
    if not variant:
        raise errors.BadInput(f"OS name '{name}' must include a variant")
    if variant not in definition.variants:
        raise errors.BadInput(f"OS '{name}' does not support variant '{variant}'")


Diagnosis = tuple[str, str, bool, str, list[str], list[list[str]], list[int], bool]
"""Name, path, whether usable, why not, variants, parameters, versions, whether trusted."""


def diagnose(searched: Sequence[Path]) -> list[Diagnosis]:
    """Return what there is in the places and whether it is usable, as a master wants it."""
    told: list[Diagnosis] = []
    for place in searched:
        try:
            names = sorted(name for name in os.listdir(place) if not name.startswith("."))  # noqa: PTH208
        except OSError:  # most places are not there
            continue
        for name in names:
            try:
                has = load(name, [place])
            except errors.Failure as error:
                told.append((name, str(place / name), False, str(error), [], [], [], True))
                continue
            parameters = [list(words) for words in has.parameters]
            told.append(
                (name, str(has.folder), True, "", list(has.variants), parameters,
                 list(has.versions), has.is_trusted)
            )  # fmt: skip
    return told


def _load(name: str, folder: Path) -> Definition:
    versions = _versions(folder)
    scripts: dict[str, Path] = {}
    required = (*_REQUIRED, _VERIFY) if max(versions) >= WITH_PARAMETERS else _REQUIRED
    for script in (*required, _CREATE, _CREATE_UNTRUSTED):
        path = folder / script
        try:
            _check_file(path, executable=True)
        except FileNotFoundError as error:
            if script in required:
                raise errors.Damaged(
                    f"File '{script}' under path '{folder}' is missing ({error.strerror})"
                ) from error
        else:
            scripts[script] = path
    if not scripts.keys() & {_CREATE, _CREATE_UNTRUSTED}:
        raise errors.Damaged(
            f"A create script (trusted or untrusted) under path '{folder}' must exist"
        )
    variants: list[str] = []
    if max(versions) >= WITH_VARIANTS:
        variants = _lines(folder / _VARIANTS, optional=True)
    parameters: list[str] = []
    if max(versions) >= WITH_PARAMETERS:
        parameters = _lines(folder / _PARAMETERS)
    return Definition(
        name,
        folder,
        versions,
        scripts,
        tuple(variants),
        tuple(tuple(line.split(None, 1)) for line in parameters),
    )


def _versions(folder: Path) -> tuple[int, ...]:
    try:
        versions = tuple(int(line) for line in _lines(folder / _API))
    except ValueError as error:
        raise errors.Damaged(f"API version(s) can't be converted to integer: {error}") from error
    if not VERSIONS.intersection(versions):
        raise errors.Damaged(
            f"API version mismatch for path '{folder}': found {list(versions)},"
            f" want one of {sorted(VERSIONS)}"
        )
    return versions


def _lines(path: Path, *, optional: bool = False) -> list[str]:
    """Return a file's lines without comments and empty ones; raises Damaged."""
    try:
        _check_file(path, executable=False)
        with path.open("rb") as file:
            text = file.read(_SMALL).decode(errors="replace")
    except FileNotFoundError as error:
        if optional:
            return []
        raise errors.Damaged(
            f"Required file '{path.name}' not found under path {path.parent}: {error.strerror}"
        ) from error
    except OSError as error:
        raise errors.Damaged(f"'{path}' cannot be read: {error.strerror}") from error
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def _check_file(path: Path, *, executable: bool) -> None:
    """Raise Damaged if there is something that is not a file as it should be; or OSError."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise errors.Damaged(f"File '{path.name}' under path '{path.parent}' is not a regular file")
    if executable and not mode & stat.S_IXUSR:
        raise errors.Damaged(f"File '{path.name}' under path '{path.parent}' is not executable")
