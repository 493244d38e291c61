"""The sub-command ``gnt-group assign-nodes``."""

import click

from pyganeti.cli import completing, following, options, session
from pyganeti.model.opcodes import group


@click.command("assign-nodes")
@click.argument("name", shell_complete=completing.groups)
@click.argument("nodes", nargs=-1, required=True, shell_complete=completing.nodes)
@click.option("-f", "--force", is_flag=True, help="Even if that splits instances over two groups.")
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    name: str,
    nodes: tuple[str, ...],
    force: bool,
    how: options.How,
) -> None:
    """Put nodes into a group, with the instances that are on them."""
    op = group.GroupAssignNodes(group_name=name, nodes=list(nodes), force=force)
    following.do(current, [op], how)
