"""The sub-command ``gnt-job watch``."""

import click

from pyganeti.cli import completing, following, session
from pyganeti.cli.job import selecting


@click.command()
@click.argument("job", shell_complete=completing.jobs)
@click.pass_obj
def command(current: session.Session, *, job: str) -> None:
    """Print what a job has said and says, until it ends; fail as it fails."""
    (number,) = selecting.numbers([job])
    title = f"Output from job {number} follows"
    current.out(title)
    current.out("-" * len(title))
    following.follow(current, number, "being watched")
