"""The sub-command ``gnt-network modify``."""

from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import completing, following, options, session
from pyganeti.cli.network import describing
from pyganeti.model.opcodes import network


@click.command()
@click.argument("name", shell_complete=completing.networks)
@describing.options
@click.option(
    "--remove-reserved-ips", type=describing.ADDRESSES, help="Addresses that instances may get."
)
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    name: str,
    how: options.How,
    **given: Any,  # noqa: ANN401 - what goes into the opcode as it is
) -> None:
    """Change a network; none as a value takes away what it has."""
    changes = describing.said(given)
    if not changes:
        raise errors.BadInput(
            f"nothing to change; see {current.program} modify --help for what could be"
        )
    following.do(current, [network.NetworkSetParams(network_name=name, **changes)], how)
