"""Options that say what is done when an instance falls, and the opcodes that write that down.

What they mean stands in `pyganeti.model.recovery`: settings are tags. Each option takes ``default``
for what the next level above has. Which tags have to go for what is wanted is found out here, from
those that there are; should they change before the job runs, the job says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import click
from click import shell_completion

from pyganeti.base import durations, errors
from pyganeti.cli import params, session, tagging
from pyganeti.model.cause import Cause
from pyganeti.model.opcodes import base, tags
from pyganeti.model.recovery import policy, settings
from pyganeti.model.recovery.settings import Action, Limits

F = TypeVar("F", bound=Callable[..., Any])

ALL: Final = "all"
"""Stands for all causes about which something is done by default; with ``default``, for all."""

Rules = dict[Cause, Action | None]


def rules(text: str) -> Rules:
    """Return ``killed=leave,crashed=default`` as {killed: leave, crashed: None}; or BadInput."""
    found: Rules = {}
    for name, value in params.settings(text).items():
        if not isinstance(value, str):
            raise errors.BadInput(f"{name}: say {name}={'|'.join(Action)}|{params.DEFAULT}")
        action = None if value == params.DEFAULT else settings.action_of(value)
        if name != ALL:
            found[settings.cause_of(name)] = action
            continue
        found |= {
            cause: action
            for cause in Cause
            if action is None or policy.BUILT_IN[cause] is not Action.LEAVE
        }
    return found


def limits(text: str) -> Limits:
    """Return ``5/1h``; raises BadInput."""
    tries, slash, time = text.partition("/")
    if not slash:
        raise errors.BadInput(f"{text!r}: say how many within how long, such as 5/1h")
    return settings.limits_of(f"{tries.strip()}/{durations.seconds(time)}")


class _Rules(params.Parsed):
    """Click's view of `rules`, with completion: a cause, then what is done about it."""

    def __init__(self) -> None:
        super().__init__("CAUSE=ACTION", rules)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[shell_completion.CompletionItem]:
        """Return what can follow."""
        del ctx, param
        head, comma, last = incomplete.rpartition(",")
        cause, sign, _ = last.partition("=")
        if sign:
            known = [(action.value, action.meaning) for action in Action]
            known.append((params.DEFAULT, "as the next level above has it"))
            words = [(f"{cause}={name}", meaning) for name, meaning in known]
        else:
            words = [(f"{one}=", one.meaning) for one in Cause]
            words.append((f"{ALL}=", "all about which something is done by default"))
        return [
            shell_completion.CompletionItem(head + comma + word, help=meaning)
            for word, meaning in words
            if word.startswith(last)
        ]


def _or_default(shown: str, parse: Callable[[str], Any]) -> params.Parsed:
    return params.Parsed(shown, lambda text: text if text == params.DEFAULT else parse(text))


_ON_STOP: Final = click.option(
    "--on-stop",
    type=_Rules(),
    multiple=True,
    metavar="CAUSE=restart|leave|down|default",
    help="What is done after a stop of that cause (all=…: of any cause about which something is"
    " done). Repeatable.",
)
_RESTARTS: Final = click.option(
    "--restarts",
    type=_or_default("N/TIME", limits),
    metavar="N/TIME|default",
    help="How many restarts within how long before giving up, such as 5/1h.",
)
_PRIORITY: Final = click.option(
    "--start-priority",
    type=_or_default("N", settings.priority_of),
    metavar="N|default",
    help="Those of higher numbers come back first with their node; 0 unless said.",
)
_AT_ONCE: Final = click.option(
    "--starts-at-once",
    type=_or_default("N", settings.at_once_of),
    metavar="N|default",
    help="How many of a node's instances are started at a time when they fell.",
)
_FORGIVE: Final = click.option(
    "--forgive", is_flag=True, help="Restart it again when it falls, though that was given up."
)

_NEW: Final = (_ON_STOP, _RESTARTS, _PRIORITY)
_INSTANCE: Final = (*_NEW, _FORGIVE)
_ABOVE: Final = (_ON_STOP, _RESTARTS, _AT_ONCE)
_NODE: Final = (_AT_ONCE,)


def of_new_instance(function: F) -> F:
    """Give a sub-command the options for an instance that is made."""
    return _decorated(function, _NEW)


def of_instance(function: F) -> F:
    """Give a sub-command the options for an instance."""
    return _decorated(function, _INSTANCE)


def of_many(function: F) -> F:
    """Give a sub-command the options for a node group or the cluster."""
    return _decorated(function, _ABOVE)


def of_node(function: F) -> F:
    """Give a sub-command the options for a node."""
    return _decorated(function, _NODE)


def _decorated(function: F, options: Sequence[Callable[[Any], Any]]) -> F:
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(slots=True)
class Wanted:
    """What options say: a tag by its head, None for none (see `settings.exchange`)."""

    tags: dict[str, str | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether anything was said."""
        return bool(self.tags)

    @property
    def changes(self) -> list[tuple[str, str]]:
        """What was said, in pairs for people and programs: ("on-stop/killed", "leave")."""
        return [
            (
                head.removeprefix(settings.PREFIX).rstrip(":").replace(":", "/"),
                _NO_MORE.get(head, params.DEFAULT) if tag is None else tag.removeprefix(head),
            )
            for head, tag in self.tags.items()
        ]


_NO_MORE: Final = {settings.GAVE_UP: "no"}


def taken(given: dict[str, Any]) -> Wanted:
    """Take the options out of a sub-command's keywords; return what they say."""
    wanted = Wanted()
    for said in given.pop("on_stop", ()):
        for cause, action in said.items():
            head = f"{settings.ON_STOP}{cause}:"
            wanted.tags[head] = None if action is None else settings.on_stop_tag(cause, action)
    kinds: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
        ("restarts", settings.RESTARTS, settings.restarts_tag),
        ("start_priority", settings.PRIORITY, settings.priority_tag),
        ("starts_at_once", settings.AT_ONCE, settings.at_once_tag),
    )
    for name, head, written in kinds:
        if (value := given.pop(name, None)) is not None:
            wanted.tags[head] = None if value == params.DEFAULT else written(value)
    if given.pop("forgive", False):
        wanted.tags[settings.GAVE_UP] = None
    return wanted


def opcodes(
    current: session.Session, kind: tagging.Kind, name: str, wanted: Wanted
) -> list[base.Opcode]:
    """Return what makes a thing's tags say that; nothing if they do. Raises Failure."""
    if not wanted:
        return []
    there = current.client.query_tags(kind, name)
    gone, added = settings.exchange(there, wanted.tags)
    found: list[base.Opcode] = []
    if gone:
        found.append(tags.TagsDel(kind=kind, name=name or None, tags=gone))
    if added:
        found.append(tags.TagsSet(kind=kind, name=name or None, tags=added))
    return found


def new_tags(wanted: Wanted) -> list[str]:
    """Return the tags for a thing that is made."""
    return [tag for tag in wanted.tags.values() if tag is not None]
