"""The sub-command ``gnt-group add``."""

from typing import Any

import click

from pyganeti.cli import following, options, session
from pyganeti.cli.group import describing
from pyganeti.model.opcodes import group


@click.command()
@click.argument("name")
@describing.options
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    name: str,
    how: options.How,
    **given: Any,  # noqa: ANN401 - an option each
) -> None:
    """Add a node group; nodes come to it with assign-nodes, or gnt-node add -g."""
    op = group.GroupAdd(group_name=name, **describing.understood(given))
    following.do(current, [op], how)
