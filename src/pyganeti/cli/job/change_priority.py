"""The sub-command ``gnt-job change-priority``."""

import click

from pyganeti.cli import completing, options, session
from pyganeti.cli.job import selecting


@click.command()
@click.argument("jobs", nargs=-1, shell_complete=completing.jobs)
@click.option(
    "--priority",
    type=click.Choice(list(options.PRIORITIES)),
    required=True,
    help="How urgent they are from now on.",
)
@selecting.flags
@options.force
@click.pass_obj
def command(
    current: session.Session,
    *,
    jobs: tuple[str, ...],
    priority: str,
    states: str | None,
    force: bool,
) -> int:
    """Make jobs more or less urgent: those given by number, or all that stand in some way."""
    return selecting.act_on(
        current,
        jobs,
        states,
        "Change the priority of these jobs?",
        lambda number: current.client.change_priority(number, options.PRIORITIES[priority]),
        force=force,
    )
