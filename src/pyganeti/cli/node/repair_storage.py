"""The sub-command ``gnt-node repair-storage``."""

import click

from pyganeti.cli import asking, completing, following, options, session
from pyganeti.model.opcodes import node


@click.command()
@click.argument("name", shell_complete=completing.nodes)
@click.argument("kind", type=click.Choice(["lvm-vg"]), metavar="lvm-vg")
@click.argument("unit")
@click.option(
    "--ignore-consistency", is_flag=True, help="Repair it though other copies are not whole."
)
@options.force
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    name: str,
    kind: str,
    unit: str,
    ignore_consistency: bool,
    force: bool,
    how: options.How,
) -> int:
    """Repair a storage unit of a node, such as a volume group that has lost a disk.

    Volumes that were on a lost disk are removed from the group.
    """
    del kind  # there is only one that can be repaired
    if ignore_consistency:
        asking.confirm(
            current, f"Volumes on {name} may be the last copies. Repair {unit}?", force=force
        )
    op = node.RepairNodeStorage(
        node_name=name, storage_type="lvm-vg", name=unit, ignore_consistency=ignore_consistency
    )
    following.do(current, [op], how)
    return 0
