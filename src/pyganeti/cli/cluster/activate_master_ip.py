"""The sub-command ``gnt-cluster activate-master-ip``."""

import click

from pyganeti.cli import following, options, session
from pyganeti.model.opcodes import cluster


@click.command()
@options.job()
@click.pass_obj
def command(current: session.Session, *, how: options.How) -> None:
    """Have the master take the cluster's address; nothing happens if it has it."""
    following.do(current, [cluster.ClusterActivateMasterIp()], how)
