"""Options that many sub-commands have, and what they come to."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from pyganeti.model.opcodes import base

F = TypeVar("F", bound=Callable[..., Any])

PRIORITIES: Final = {"low": 10, "normal": 0, "high": -10}


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How jobs are submitted, and whether they are waited for."""

    submit: bool = False
    print_jobid: bool = False
    priority: int = 0
    dry_run: bool = False
    reason: str | None = None
    as_json: bool = False


def job(*, dry_run: bool = True) -> Callable[[F], F]:
    """Give a sub-command the options of all that submit jobs; it gets them as ``how``."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(**given: Any) -> Any:  # noqa: ANN401 - click's keywords
            how = How(
                submit=given.pop("submit"),
                print_jobid=given.pop("print_jobid"),
                priority=PRIORITIES[given.pop("priority")],
                dry_run=given.pop("dry_run", False),
                reason=given.pop("reason"),
                as_json=given.pop("as_json"),
            )
            return function(how=how, **given)

        decorated: Any = wrapped
        for option in reversed(_job_options(dry_run=dry_run)):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


def _job_options(*, dry_run: bool) -> list[Callable[[Any], Any]]:
    options = [
        click.option("--submit", is_flag=True, help="Submit the job and do not wait for it."),
        click.option("--print-jobid", is_flag=True, help="Print the job's number, first of all."),
        click.option(
            "--priority",
            type=click.Choice(list(PRIORITIES)),
            default="normal",
            show_default=True,
            help="How urgent the job is.",
        ),
        click.option("--reason", metavar="TEXT", help="Why; kept with the job."),
        click.option(
            "--json", "as_json", is_flag=True, help="Print the results as JSON, for programs."
        ),
    ]
    if dry_run:
        options.append(
            click.option("--dry-run", is_flag=True, help="Check whether it could be done, only.")
        )
    return options


force = click.option("-f", "--force", is_flag=True, help="Do not ask whether it is meant.")


def applied(opcode: base.Opcode, how: How, trail: base.Trail) -> base.Opcode:
    """Return an opcode with what the options say."""
    import msgspec

    return msgspec.structs.replace(opcode, priority=how.priority, dry_run=how.dry_run, reason=trail)
