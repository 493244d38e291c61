"""The sub-command ``gnt-job cancel``."""

import click

from pyganeti.base import errors
from pyganeti.cli import completing, options, session
from pyganeti.cli.job import selecting


@click.command()
@click.argument("jobs", nargs=-1, shell_complete=completing.jobs)
@selecting.flags
@options.force
@click.option("--kill", is_flag=True, help="Cut off what runs, too; needs --yes-do-it.")
@click.option("--yes-do-it", "--ya-rly", is_flag=True, help="Yes, --kill is meant.")
@click.pass_obj
def command(
    current: session.Session,
    *,
    jobs: tuple[str, ...],
    states: str | None,
    force: bool,
    kill: bool,
    yes_do_it: bool,
) -> int:
    """Cancel jobs that have not begun: those given by number, or all that stand in some way."""
    if kill and not yes_do_it:
        raise errors.BadInput("--kill leaves things half done; say --yes-do-it if it is meant")
    return selecting.act_on(
        current,
        jobs,
        states,
        "Kill these jobs?" if kill else "Cancel these jobs?",
        lambda number: current.client.cancel(number, kill=kill),
        force=force,
    )
