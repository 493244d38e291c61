"""The sub-command ``gnt-job autoarchive``."""

import click

from pyganeti.base import durations
from pyganeti.cli import session


@click.command()
@click.argument("age")
@click.pass_obj
def command(current: session.Session, *, age: str) -> None:
    """Put all jobs aside that ended this long ago: 6h, 7d, or all."""
    archived, left = current.client.auto_archive(-1 if age == "all" else durations.seconds(age))
    current.out(f"Archived {archived} jobs, {left} unchecked left")
