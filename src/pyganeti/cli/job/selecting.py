"""Which jobs are meant: by number, or by how they stand."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from pyganeti.base import errors
from pyganeti.cli import asking, filters, session, tables

PENDING: Final = ("queued", "waiting", "canceling")
ENDED: Final = ("canceled", "success", "error")

Act = Callable[[int], tuple[bool, str]]
"""Does something to a job; says whether that worked, and what to tell."""


def of_states(states: Sequence[str] | None) -> filters.Filter | None:
    """Return the filter for jobs in any of these states."""
    return None if states is None else ["|", *(["==", "status", state] for state in states)]


def flags(function: Any) -> Any:  # noqa: ANN401 - click's
    """Give a sub-command ``states``: from --pending, --queued or --waiting; None without."""
    for name, states, words in (
        ("--waiting", ("waiting",), "All jobs that wait for locks."),
        ("--queued", ("queued",), "All jobs whose turn has not come."),
        ("--pending", PENDING, "All jobs that have not begun."),
    ):
        function = click.option(
            name, "states", flag_value=",".join(states), default=None, help=words
        )(function)
    return function


def numbers(words: Sequence[str]) -> list[int]:
    """Return jobs' numbers; raises BadInput for a word that is none."""
    for word in words:
        if not (word.isascii() and word.isdecimal()):
            raise errors.BadInput(f"{word!r} is no job's number; gnt-job list shows them")
    return [int(word) for word in words]


def act_on(
    current: session.Session,
    words: Sequence[str],
    states: str | None,
    question: str,
    act: Act,
    *,
    force: bool,
) -> int:
    """Do something to each of the jobs that are meant; return the exit code."""
    if bool(words) == (states is not None):
        raise errors.BadInput("name jobs by number, or say which by --pending and the like")
    if states is None:
        meant = numbers(words)
    else:
        answer = current.client.query(
            "job", ["id", "status", "summary"], of_states(states.split(","))
        )
        if not answer["data"]:
            raise errors.BadInput("no job stands like that", "wrong_state")
        meant = [row[0][1] for row in answer["data"]]
        if not force:
            columns = [tables.Column(f["name"], f["title"], f["kind"]) for f in answer["fields"]]
            for line in tables.lines(columns, answer["data"], tables.Style()):
                current.tell(line)
            asking.confirm(current, question, force=False)
    failed = 0
    for number in meant:
        done, said = act(number)
        failed += not done
        current.out(said) if done else current.tell(f"{current.program}: {said}")
    return 1 if failed else 0
