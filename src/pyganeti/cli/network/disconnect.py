"""The sub-command ``gnt-network disconnect``."""

import click

from pyganeti.cli import completing, options, session
from pyganeti.cli.network import connecting
from pyganeti.model.opcodes import network


@click.command()
@click.argument("name", shell_complete=completing.networks)
@click.argument("groups", nargs=-1, shell_complete=completing.groups)
@options.job()
@click.pass_obj
def command(
    current: session.Session, *, name: str, groups: tuple[str, ...], how: options.How
) -> int:
    """Disconnect a network from node groups: these, or all."""

    def make(group: str) -> network.NetworkDisconnect:
        return network.NetworkDisconnect(network_name=name, group_name=group)

    return connecting.on_each(current, groups, make, how)
