"""The sub-command ``gnt-node modify-storage``."""

import click

from pyganeti.base import errors
from pyganeti.cli import completing, following, options, params, session
from pyganeti.model.opcodes import node


@click.command()
@click.argument("name", shell_complete=completing.nodes)
@click.argument("kind", type=click.Choice(["lvm-pv"]), metavar="lvm-pv")
@click.argument("unit")
@click.option("--allocatable", type=params.YES_NO, help="Whether new volumes may be on it.")
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    name: str,
    kind: str,
    unit: str,
    allocatable: bool | None,
    how: options.How,
) -> int:
    """Change a storage unit of a node, such as the physical volume /dev/sdb."""
    if allocatable is None:
        raise errors.BadInput("nothing to change; say --allocatable yes or no")
    op = node.NodeModifyStorage(
        node_name=name,
        storage_type="lvm-pv" if kind == "lvm-pv" else "lvm-vg",
        name=unit,
        changes={"allocatable": allocatable},
    )
    following.do(current, [op], how)
    return 0
