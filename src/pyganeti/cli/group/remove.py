"""The sub-command ``gnt-group remove``."""

import click

from pyganeti.cli import completing, following, options, session
from pyganeti.model.opcodes import group


@click.command()
@click.argument("name", shell_complete=completing.groups)
@options.job()
@click.pass_obj
def command(current: session.Session, *, name: str, how: options.How) -> None:
    """Remove a node group that has no nodes."""
    following.do(current, [group.GroupRemove(group_name=name)], how)
