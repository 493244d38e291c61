"""The sub-command ``gnt-network connect``."""

from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import completing, options, params, session
from pyganeti.cli.network import connecting
from pyganeti.model.config import defaults
from pyganeti.model.opcodes import network


@click.command()
@click.argument("name", shell_complete=completing.networks)
@click.argument("groups", nargs=-1, shell_complete=completing.groups)
@click.option(
    "-N",
    "--nic-parameters",
    "nicparams",
    type=params.SETTINGS,
    metavar="mode=…,link=…[,vlan=…]",
    required=True,
    help="How its cards are connected there: bridged to link, or routed.",
)
@click.option(
    "--conflicts-check/--no-conflicts-check",
    default=True,
    help="Whether cards that are not in it may have none of its addresses.",
)
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    name: str,
    groups: tuple[str, ...],
    nicparams: dict[str, Any],
    conflicts_check: bool,
    how: options.How,
) -> int:
    """Connect a network to node groups: these, or all."""
    given = params.typed(nicparams, defaults.NIC, "NIC parameters")
    if missing := sorted({"mode", "link"} - given.keys()):
        raise errors.BadInput(f"-N needs {' and '.join(missing)}: -N mode=bridged,link=br0")

    def make(group: str) -> network.NetworkConnect:
        return network.NetworkConnect(
            network_name=name,
            group_name=group,
            network_mode=given["mode"],
            network_link=given["link"],
            network_vlan=given.get("vlan", ""),
            conflicts_check=conflicts_check,
        )

    return connecting.on_each(current, groups, make, how)
