"""The sub-command ``gnt-network remove``."""

import click

from pyganeti.cli import completing, following, options, session
from pyganeti.model.opcodes import network


@click.command()
@click.argument("name", shell_complete=completing.networks)
@options.force
@options.job()
@click.pass_obj
def command(current: session.Session, *, name: str, force: bool, how: options.How) -> None:
    """Remove a network that is connected to no node group."""
    following.do(current, [network.NetworkRemove(network_name=name, force=force)], how)
