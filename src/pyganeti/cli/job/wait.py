"""The sub-command ``gnt-job wait``."""

import click

from pyganeti.cli import completing, session
from pyganeti.cli.job import selecting


@click.command()
@click.argument("job", shell_complete=completing.jobs)
@click.pass_obj
def command(current: session.Session, *, job: str) -> None:
    """Wait in silence until a job has ended; fail as it fails."""
    (number,) = selecting.numbers([job])
    current.client.wait(number)
