"""The sub-command ``gnt-job archive``."""

import click

from pyganeti.cli import completing, session
from pyganeti.cli.job import selecting


@click.command()
@click.argument("jobs", nargs=-1, shell_complete=completing.jobs, required=True)
@click.pass_obj
def command(current: session.Session, *, jobs: tuple[str, ...]) -> int:
    """Put ended jobs aside; they are found by number still."""
    failed = 0
    for number in selecting.numbers(jobs):
        if not current.client.archive(number):
            failed += 1
            current.tell(f"{current.program}: job {number} was not archived: no ended job has it")
    return 1 if failed else 0
