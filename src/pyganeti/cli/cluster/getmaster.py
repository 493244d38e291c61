"""The sub-command ``gnt-cluster getmaster``."""

import click

from pyganeti.base import errors, ssconf
from pyganeti.cli import session


@click.command()
@click.pass_obj
def command(current: session.Session) -> None:
    """Print the master node's name, as this node knows it; works on every node."""
    name = (ssconf.read(current.layout, "master_node") or "").strip()
    if not name:
        raise errors.Unavailable("this node belongs to no cluster")
    current.out(name)
