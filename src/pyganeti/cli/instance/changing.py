"""Changes of disks and network cards, as people describe them: ``add:size=1g``, ``0:mode=ro``.

Before the colon is a number, a name or a uuid of what is changed, or ``add``, ``attach``,
``remove`` or ``detach`` for the end of the list. Those words may also stand among the settings:
``0:add,size=1g`` adds before the present number 0, ``2:remove`` takes number 2 away.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.cli import params, units

Described = Sequence[tuple[str, Mapping[str, Any]]]
Change = tuple[str, int | str, dict[str, Any]]

_LAST: Final = -1
_MODIFY: Final = "modify"
_AT_THE_END: Final = ("add", "attach", "remove", "detach")
_ACTIONS: Final = (*_AT_THE_END, _MODIFY)
_GOING: Final = frozenset({"remove", "detach"})


def disks(described: Described) -> list[Change]:
    """Return changes of disks, sizes in MiB; raises BadInput."""
    found = []
    for action, which, given in _changes(described, "disk"):
        if "size" in given:
            given["size"] = units.mebibytes(str(given["size"]))
        elif action == "add":
            raise errors.BadInput("a new disk needs a size: --disk add:size=10g")
        if "spindles" in given:
            if not str(given["spindles"]).isdecimal():
                raise errors.BadInput(f"spindles is a number, not {given['spindles']!r}")
            given["spindles"] = int(given["spindles"])
        found.append((action, which, given))
    return found


def cards(described: Described) -> list[Change]:
    """Return changes of network cards; raises BadInput."""
    return _changes(described, "net")


def _changes(described: Described, what: str) -> list[Change]:
    return [_change(name, given, what) for name, given in described]


def _change(name: str, given: Mapping[str, Any], what: str) -> Change:
    left = dict(given)
    which: int | str
    if name in _AT_THE_END:
        action, which = name, _LAST
    else:
        named = [word for word in _ACTIONS if left.pop(word, None) is not None]
        if len(named) > 1:
            raise errors.BadInput(f"--{what} {name}: one of {', '.join(named)}, not several")
        action = named[0] if named else _MODIFY
        which = int(name) if name.removeprefix("-").isdecimal() else name
    if action in _GOING and left:
        raise errors.BadInput(f"--{what} {name}: {action} takes no settings")
    if action == _MODIFY and not left:
        raise errors.BadInput(f"--{what} {name}: nothing to change; '{name}:remove' takes it away")
    for key, value in left.items():
        if isinstance(value, bool):
            raise errors.BadInput(f"--{what} {name}: {key} needs a value: {key}=…")
    if action != _MODIFY:
        left = {key: value for key, value in left.items() if value != params.DEFAULT}
    return action, which, left
