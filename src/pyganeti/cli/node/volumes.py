"""The sub-command ``gnt-node volumes``."""

import click

from pyganeti.cli import completing, following, listing, options, session, tables
from pyganeti.cli.node import rows
from pyganeti.model.opcodes import node

_COLUMNS = (
    tables.Column("node", "Node", "text"),
    tables.Column("phys", "PhysDev", "text"),
    tables.Column("vg", "VG", "text"),
    tables.Column("name", "Name", "text"),
    tables.Column("size", "Size", "unit"),
    tables.Column("instance", "Instance", "text"),
)


@click.command()
@click.argument("nodes", nargs=-1, shell_complete=completing.nodes)
@rows.options
@click.pass_obj
def command(current: session.Session, /, *, nodes: tuple[str, ...], look: listing.Look) -> None:
    """List the logical volumes of nodes, and whose they are."""
    columns = rows.chosen(look, _COLUMNS, [column.name for column in _COLUMNS])
    op = node.NodeQueryvols(nodes=list(nodes), output_fields=[one.name for one in columns])
    results = following.run(current, [op], options.How(as_json=True))
    found = [
        [int(value) if column.kind == "unit" else value
         for column, value in zip(columns, row, strict=True)]
        for row in (results[0] if results else ())
    ]  # fmt: skip
    rows.show(current, columns, found, look)
