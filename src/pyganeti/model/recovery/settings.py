"""Settings for recovery, as tags: what stands at one level, an instance, a node group, the cluster.

    pyganeti:on-stop:CAUSE:ACTION       what is done after a stop of this cause
    pyganeti:restarts:TRIES/SECONDS     how many restarts within how long before giving up
    pyganeti:start-priority:N           which instances come back first with their node
    pyganeti:starts-at-once:N           how many of a node's instances are started at a time
    pyganeti:gave-up:SECONDS            when restarting was given up, in seconds since 1970

Anybody can give a thing any tag. So reading never fails: a tag that makes no sense counts for
nothing, and so do two that contradict each other; `problems` names both, for the verification.
"""

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pyganeti.base import errors
from pyganeti.model.cause import Cause

T = TypeVar("T")

PREFIX: Final = "pyganeti:"
"""What all of them begin with: other tags mean nothing here."""

ON_STOP: Final = f"{PREFIX}on-stop:"
RESTARTS: Final = f"{PREFIX}restarts:"
PRIORITY: Final = f"{PREFIX}start-priority:"
AT_ONCE: Final = f"{PREFIX}starts-at-once:"
GAVE_UP: Final = f"{PREFIX}gave-up:"

MOST_TRIES: Final = 1000
LONGEST: Final = 30 * 86400
MOST_PRIORITY: Final = 1000
MOST_AT_ONCE: Final = 1000
_LATEST: Final = 2**40
_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,12}", re.ASCII)


class Action(enum.StrEnum):
    """What is done about a stop. Values are stable: they stand in tags."""

    RESTART = "restart"
    LEAVE = "leave"
    DOWN = "down"

    @property
    def meaning(self) -> str:
        """The same in words, for help and tables."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    Action.RESTART: "start it again",
    Action.LEAVE: "do nothing",
    Action.DOWN: "record that it is wanted down",
}


class Level(enum.StrEnum):
    """Where a setting can stand, from the nearest to the instance to the farthest."""

    INSTANCE = "instance"
    NODE = "node"
    GROUP = "node group"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Restarts that are tried before giving up: this many within so many seconds."""

    tries: int = 5
    seconds: int = 3600


@dataclass(frozen=True, slots=True)
class Settings:
    """What one level says; None and causes that are missing: nothing, the next level is asked."""

    on_stop: Mapping[Cause, Action] = field(default_factory=dict)
    limits: Limits | None = None
    priority: int | None = None
    at_once: int | None = None
    gave_up: int | None = None


def read(tags: Iterable[str]) -> Settings:
    """Return what tags say; those of no sense and those that contradict each other say nothing."""
    ours = {tag for tag in tags if tag.startswith(PREFIX)}
    if not ours:
        return _NOTHING
    on_stop: dict[Cause, set[Action]] = {}
    for tag in ours:
        if (rule := _tried(rule_of, tag)) is not None:
            on_stop.setdefault(rule[0], set()).add(rule[1])
    given_up = _all(GAVE_UP, _moment, ours)
    return Settings(
        on_stop={cause: said.pop() for cause, said in on_stop.items() if len(said) == 1},
        limits=_only(_all(RESTARTS, limits_of, ours)),
        priority=_only(_all(PRIORITY, priority_of, ours)),
        at_once=_only(_all(AT_ONCE, at_once_of, ours)),
        gave_up=max(given_up, default=None),
    )


def write(settings: Settings) -> list[str]:
    """Return the tags that say this, in order. Raises BadInput for what is out of bounds."""
    found = [on_stop_tag(cause, action) for cause, action in settings.on_stop.items()]
    if settings.limits is not None:
        found.append(restarts_tag(settings.limits))
    if settings.priority is not None:
        found.append(priority_tag(settings.priority))
    if settings.at_once is not None:
        found.append(at_once_tag(settings.at_once))
    if settings.gave_up is not None:
        found.append(gave_up_tag(settings.gave_up))
    return sorted(found)


def on_stop_tag(cause: Cause, action: Action) -> str:
    """Return the tag: after a stop of this cause, this is done."""
    return f"{ON_STOP}{cause}:{action}"


def restarts_tag(limits: Limits) -> str:
    """Return the tag: after so many restarts within so long it is given up. Raises BadInput."""
    tag = f"{RESTARTS}{limits.tries}/{limits.seconds}"
    limits_of(tag.removeprefix(RESTARTS))
    return tag


def priority_tag(priority: int) -> str:
    """Return the tag: those of higher numbers come back first. Raises BadInput."""
    return f"{PRIORITY}{priority_of(str(priority))}"


def at_once_tag(number: int) -> str:
    """Return the tag: no more of a node's instances are started at a time. Raises BadInput."""
    return f"{AT_ONCE}{at_once_of(str(number))}"


def gave_up_tag(when: float) -> str:
    """Return the tag: restarting was given up then, in seconds since 1970. Raises BadInput."""
    return f"{GAVE_UP}{_moment(str(int(when)))}"


def rule_of(tag: str) -> tuple[Cause, Action] | None:
    """Return what an on-stop tag says, None for another tag. Raises BadInput for a wrong one."""
    if not tag.startswith(ON_STOP):
        return None
    cause, _, action = tag.removeprefix(ON_STOP).partition(":")
    return cause_of(cause), action_of(action)


def cause_of(word: str) -> Cause:
    """Return the cause of this name. Raises BadInput, naming those that there are."""
    try:
        return Cause(word)
    except ValueError as error:
        raise errors.BadInput(
            f"{word!r} is no cause of a stop; there are {', '.join(Cause)}"
        ) from error


def action_of(word: str) -> Action:
    """Return the action of this name. Raises BadInput, naming those that there are."""
    try:
        return Action(word)
    except ValueError as error:
        raise errors.BadInput(
            f"{word!r} is nothing that can be done about a stop; there are {', '.join(Action)}"
        ) from error


def limits_of(text: str) -> Limits:
    """Return what ``5/3600`` says. Raises BadInput."""
    tries, _, seconds = text.partition("/")
    return Limits(
        _number(tries, 1, MOST_TRIES, "a number of restarts"),
        _number(seconds, 1, LONGEST, "a time in seconds within which they count"),
    )


def priority_of(text: str) -> int:
    """Return a priority. Raises BadInput."""
    return _number(text, -MOST_PRIORITY, MOST_PRIORITY, "a priority")


def at_once_of(text: str) -> int:
    """Return a number of starts at a time. Raises BadInput."""
    return _number(text, 1, MOST_AT_ONCE, "a number of starts at a time")


def problems(tags: Iterable[str], level: Level) -> list[str]:
    """Return what is wrong with the tags at a level, a sentence each, in order."""
    found: list[str] = []
    heads: dict[str, list[str]] = {}
    for tag in sorted(tag for tag in tags if tag.startswith(PREFIX)):
        kind = next((kind for kind in _KINDS if tag.startswith(kind)), None)
        if kind is None:
            found.append(f"tag {tag}: there is no such setting")
            continue
        levels, parse = _KINDS[kind]
        try:
            parse(tag.removeprefix(kind))
        except errors.BadInput as error:
            found.append(f"tag {tag} counts for nothing: {error}")
            continue
        if level not in levels:
            found.append(f"tag {tag} counts for nothing: it can be {_where(levels)} only")
        if kind != GAVE_UP:
            heads.setdefault(head(tag), []).append(tag)
    found += [
        f"tags {', '.join(said)} contradict each other and count for nothing"
        for said in heads.values()
        if len(said) > 1
    ]
    return found


def head(tag: str) -> str:
    """Return what a tag is about, without what it says: all but its last part."""
    return tag[: tag.rindex(":") + 1]


def exchange(tags: Iterable[str], wanted: Mapping[str, str | None]) -> tuple[list[str], list[str]]:
    """Return which tags to take away and which to add for what is wanted.

    ``wanted`` has a tag by its `head`, None for none: whatever else has that head goes.
    """
    there = set(tags)
    gone = {
        tag
        for tag in there
        for about, new in wanted.items()
        if tag.startswith(about) and tag != new
    }
    added = {new for new in wanted.values() if new is not None} - there
    return sorted(gone), sorted(added)


def _moment(text: str) -> int:
    return _number(text, 0, _LATEST, "a moment in seconds since 1970")


def _number(text: str, least: int, most: int, what: str) -> int:
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise errors.BadInput(f"{text[:20]!r} is not {what}, from {least} to {most}")
    return int(text)


def _tried(parse: Callable[[str], T], text: str) -> T | None:
    try:
        return parse(text)
    except errors.BadInput:
        return None


def _all(kind: str, parse: Callable[[str], T], tags: Iterable[str]) -> set[T]:
    said = (_tried(parse, tag.removeprefix(kind)) for tag in tags if tag.startswith(kind))
    return {one for one in said if one is not None}


def _only(said: set[T]) -> T | None:
    return next(iter(said)) if len(said) == 1 else None


def _where(levels: Iterable[Level]) -> str:
    words = {Level.CLUSTER: "on the cluster"}
    return " or ".join(
        words.get(level, f"on {'an' if level is Level.INSTANCE else 'a'} {level}")
        for level in levels
    )


def _is_rule(text: str) -> None:
    rule_of(ON_STOP + text)


_EVERYWHERE: Final = (Level.INSTANCE, Level.GROUP, Level.CLUSTER)
_KINDS: Final[Mapping[str, tuple[tuple[Level, ...], Callable[[str], object]]]] = {
    ON_STOP: (_EVERYWHERE, _is_rule),
    RESTARTS: (_EVERYWHERE, limits_of),
    PRIORITY: ((Level.INSTANCE,), priority_of),
    AT_ONCE: ((Level.NODE, Level.GROUP, Level.CLUSTER), at_once_of),
    GAVE_UP: ((Level.INSTANCE,), _moment),
}
_NOTHING: Final = Settings()
