"""The sub-command ``gnt-network add``."""

from typing import Any

import click

from pyganeti.cli import following, options, session
from pyganeti.cli.network import describing
from pyganeti.model.opcodes import network


@click.command()
@click.argument("name")
@click.option(
    "--network",
    "subnet",
    required=True,
    metavar="RANGE",
    help="Its IPv4 range, such as 192.0.2.0/24.",
)
@describing.options
@click.option("--tags", type=describing.TAGS, help="Its tags.")
@click.option(
    "--conflicts-check/--no-conflicts-check",
    default=True,
    help="Whether the nodes' and the cluster's addresses are kept from instances.",
)
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    name: str,
    subnet: str,
    how: options.How,
    **given: Any,  # noqa: ANN401 - what goes into the opcode as it is
) -> None:
    """Add a network; node groups reach it once it is connected to them."""
    op = network.NetworkAdd(network_name=name, network=subnet, **describing.said(given))
    following.do(current, [op], how)
