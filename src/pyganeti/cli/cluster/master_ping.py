"""The sub-command ``gnt-cluster master-ping``."""

import click

from pyganeti.base import errors
from pyganeti.cli import program, session


@click.command()
@click.pass_obj
def command(current: session.Session) -> int:
    """End with exit code 0 if the master daemon answers, with 1 if it does not; print nothing."""
    try:
        current.client.query_cluster_info()
    except errors.Failure:
        return program.FAILED
    return 0
