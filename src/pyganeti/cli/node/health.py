"""The sub-command ``gnt-node health``."""

import click

from pyganeti.cli import completing, following, listing, options, session
from pyganeti.cli.node import outofband, rows


@click.command()
@click.argument("names", nargs=-1, shell_complete=completing.nodes)
@click.option("--oob-timeout", type=click.IntRange(1), default=60, show_default=True,
              metavar="SECONDS", help="How long the program may take for a node.")  # fmt: skip
@listing.options(with_query=False)
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    names: tuple[str, ...],
    oob_timeout: int,
    look: listing.Look,
) -> int:
    """Tell how nodes' machines are, by the site's out-of-band program."""
    how = options.How(as_json=look.as_json)
    results = following.run(current, [outofband.opcode("health", names, oob_timeout)], how)
    told, failed = [], 0
    for (_, name), (status, said) in results[0] if results else ():
        if status:
            failed += 1
            told.append([name, outofband.WHY_NOT.get(status, "(unknown)")])
            continue
        told += [
            [name if look.as_json or not place else "", f"{item}={state}"]
            for place, (item, state) in enumerate(said)
        ]
    rows.show(current, outofband.COLUMNS, told, look)
    return 1 if failed else 0
