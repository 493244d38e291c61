"""The sub-command ``gnt-group rename``."""

import click

from pyganeti.cli import completing, following, options, session
from pyganeti.model.opcodes import group


@click.command()
@click.argument("name", shell_complete=completing.groups)
@click.argument("new_name")
@options.job()
@click.pass_obj
def command(current: session.Session, *, name: str, new_name: str, how: options.How) -> None:
    """Give a node group another name."""
    following.do(current, [group.GroupRename(group_name=name, new_name=new_name)], how)
