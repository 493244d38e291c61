"""The sub-command ``gnt-node list-storage``."""

from typing import Literal, TypeAlias, get_args

import click

from pyganeti.cli import completing, following, listing, options, session, tables
from pyganeti.cli.node import rows
from pyganeti.model.opcodes import node

_COLUMNS = (
    tables.Column("node", "Node", "text"),
    tables.Column("type", "Type", "text"),
    tables.Column("name", "Name", "text"),
    tables.Column("size", "Size", "unit"),
    tables.Column("used", "Used", "unit"),
    tables.Column("free", "Free", "unit"),
    tables.Column("allocatable", "Allocatable", "bool"),
)
Kind: TypeAlias = Literal["file", "sharedfile", "gluster", "lvm-pv", "lvm-vg"]
_KINDS = get_args(Kind)


@click.command()
@click.argument("nodes", nargs=-1, shell_complete=completing.nodes)
@click.option(
    "--storage-type",
    "kind",
    type=click.Choice(_KINDS),
    help="Which kind of storage; else that of the cluster's first disk template.",
)
@rows.options
@click.pass_obj
def command(
    current: session.Session, /, *, nodes: tuple[str, ...], kind: Kind | None, look: listing.Look
) -> None:
    """List the storage of nodes: directories, volume groups, physical volumes, and their room."""
    columns = rows.chosen(look, _COLUMNS, [column.name for column in _COLUMNS])
    op = node.NodeQueryStorage(
        nodes=list(nodes), storage_type=kind, output_fields=[one.name for one in columns]
    )
    results = following.run(current, [op], options.How(as_json=True))
    rows.show(current, columns, results[0] if results else (), look)
