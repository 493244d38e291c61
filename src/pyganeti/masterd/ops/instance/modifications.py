"""What is asked to be changed among an instance's devices, brought into one form; pure.

People name a device by its number, its name or its uuid, -1 being the last one or, where one is
added, the place behind it. Older clients send ``["add", {…}]`` or ``[0, {…}]``, newer ones
``["modify", 0, {…}]``. Changes are made one after the other: a number counts the devices that are
there by then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias

from pyganeti.base import errors

Action: TypeAlias = Literal["add", "attach", "detach", "modify", "remove"]

_COMING: Final[Mapping[str, Action]] = {"add": "add", "attach": "attach"}
_GOING: Final[Mapping[str, Action]] = {"detach": "detach", "remove": "remove"}
_ACTIONS: Final[Mapping[str, Action]] = {"modify": "modify", **_COMING, **_GOING}
_LAST: Final = -1
_NEW: Final = 3
"""Parts that a change of the present form has."""

NONE: Final = "none"
"""The value that takes away what a device has."""


class Device(Protocol):
    """A disk or a network card."""

    @property
    def uuid(self) -> str | None: ...  # noqa: D102 - what it says
    @property
    def name(self) -> str | None: ...  # noqa: D102 - what it says


@dataclass(frozen=True, slots=True)
class Change:
    """One change. ``which`` is a number, a name or a uuid."""

    action: Action
    which: int | str
    params: Mapping[str, Any]


def parse(kind: str, asked: Sequence[Any]) -> list[Change]:
    """Return changes from an opcode's ``nics`` or ``disks``; raises BadInput.

    Of the older form there may be one only that adds or removes.
    """
    found = [_parsed(kind, one) for one in asked]
    is_old = any(len(one) != _NEW for one in asked)
    if is_old and sum(change.action != "modify" for change in found) > 1:
        raise errors.BadInput(
            f"Only one {kind} add/attach/remove/detach operation is supported at a time"
        )
    return found


def coming_to(kind: str, change: Change, devices: Sequence[Device]) -> int:
    """Return the place that a device gets which is added; raises BadInput if there is none such."""
    number = _number(change.which)
    if number is None:
        raise errors.BadInput(f"a {kind} is added at a number or at the end, not at a name")
    if number == _LAST:
        return len(devices)
    if not 0 <= number <= len(devices):
        raise errors.BadInput(
            f"Got {kind} index {number}, but there are only {len(devices)}", "wrong_input"
        )
    return number


def place_of(kind: str, change: Change, devices: Sequence[Device]) -> int:
    """Return which device is meant; raises BadInput if it is not there."""
    number = _number(change.which)
    if number is None:
        for place, device in enumerate(devices):
            if change.which in {device.uuid, device.name}:
                return place
        raise errors.BadInput(
            f"Cannot find {kind} with identifier {change.which}", "unknown_entity"
        )
    place = len(devices) - 1 if number == _LAST else number
    if not 0 <= place < len(devices):
        raise errors.BadInput(
            f"Got {kind} index {number}, but there are only {len(devices)}", "unknown_entity"
        )
    return place


def check_names(kind: str, devices: Sequence[Device]) -> None:
    """Raise BadInput for a name that is no name, or that two devices would have."""
    taken = {device.uuid for device in devices}
    for device in devices:
        if device.name is None:
            continue
        if _number(device.name) is not None:
            raise errors.BadInput(
                f"Invalid name '{device.name}'. Purely numeric {kind} names are not allowed"
            )
        if device.name in taken:
            raise errors.BadInput(
                f"{kind} name '{device.name}' already used", "resource_not_unique"
            )
        taken.add(device.name)


def name_of(params: Mapping[str, Any], before: str | None) -> str | None:
    """Return the name that a device has then."""
    if "name" not in params:
        return before
    said = params["name"]
    return None if not said or str(said).lower() == NONE else str(said)


def _parsed(kind: str, one: Any) -> Change:  # noqa: ANN401 - JSON
    match one:
        case [str(word), int() | str() as which, dict(params)] if word in _ACTIONS:
            action = _ACTIONS[word]
        case [str(word), dict(params)] if word in _COMING or word in _GOING:
            action, which = _ACTIONS[word], _LAST
        case [int() | str() as which, dict(params)]:
            action = "modify"
        case _:
            raise errors.BadInput(f"this is no change of a {kind}: {str(one)[:80]}")
    if action in _GOING and params:
        raise errors.BadInput(f"No settings should be passed when removing or detaching a {kind}")
    return Change(action, which, params)


def _number(which: int | str) -> int | None:
    try:
        return int(which)
    except ValueError:
        return None
