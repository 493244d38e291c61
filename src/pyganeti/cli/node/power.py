"""The sub-command ``gnt-node power``."""

import click

from pyganeti.base import errors
from pyganeti.cli import asking, completing, following, listing, options, session
from pyganeti.cli.node import outofband, rows
from pyganeti.model.opcodes import base, node


@click.command()
@click.argument("action", type=click.Choice(["on", "off", "cycle", "status"]))
@click.argument("names", nargs=-1, shell_complete=completing.nodes)
@options.force
@click.option("--auto-promote", is_flag=True,
              help="Let others be master candidates in place of those that go off.")  # fmt: skip
@click.option("--ignore-status", is_flag=True, help="Do not mark nodes as offline first.")
@click.option("--oob-timeout", type=click.IntRange(1), default=60, show_default=True,
              metavar="SECONDS", help="How long the program may take for a node.")  # fmt: skip
@click.option("--power-delay", type=click.FloatRange(0), default=2.0, show_default=True,
              metavar="SECONDS", help="How long to wait after each that goes on.")  # fmt: skip
@click.option("--no-headers", is_flag=True, help="Leave the line of titles out.")
@click.option("--separator", metavar="TEXT", help="Put this between cells; align nothing.")
@options.job(dry_run=False)
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    action: str,
    names: tuple[str, ...],
    force: bool,
    auto_promote: bool,
    ignore_status: bool,
    oob_timeout: int,
    power_delay: float,
    no_headers: bool,
    separator: str | None,
    how: options.How,
) -> int:
    """Power nodes on or off, or tell whether they are, by the site's out-of-band program.

    Which program that is the node parameter oob_program says. Nodes that go off are marked as
    offline first.
    """
    if action in {"off", "cycle"}:
        if not names:
            raise errors.BadInput(f"name the nodes to power {action}")
        asking.confirm(current, f"Power {action} {', '.join(names)}?", force=force)
    opcodes: list[base.Opcode] = []
    if action == "off" and not ignore_status:
        opcodes += [
            node.NodeSetParams(node_name=name, offline=True, auto_promote=auto_promote)
            for name in names
        ]
    settings = {"ignore_status": ignore_status, "power_delay": power_delay}
    opcodes.append(outofband.opcode(f"power-{action}", names, oob_timeout, **settings))
    results = following.run(current, opcodes, how)
    if results is None:
        return 0
    told, failed = [], 0
    for (_, name), (status, said) in results[-1]:
        if status:
            failed += 1
            text = outofband.WHY_NOT.get(status, "(unknown)")
        elif action == "status":
            text = "powered" if said["powered"] else "unpowered"
        else:
            text = "invoked"
        told.append([name, text])
    look = listing.Look(headers=not no_headers, separator=separator, as_json=how.as_json)
    rows.show(current, outofband.COLUMNS, told, look)
    return 1 if failed else 0
