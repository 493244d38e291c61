"""The sub-command ``gnt-node restricted-command``."""

import click

from pyganeti.base import errors
from pyganeti.cli import completing, following, options, session
from pyganeti.model.opcodes import node


@click.command()
@click.argument("program")
@click.argument("names", nargs=-1, shell_complete=completing.nodes)
@click.option("-g", "--node-group", "group", metavar="GROUP", shell_complete=completing.groups,
              help="Run it on the nodes of this group.")  # fmt: skip
@click.option("--sync", "alone", is_flag=True, help="Have the nodes alone meanwhile.")
@click.option("-M", "--show-machine-names", "with_names", is_flag=True,
              help="Begin each line of output with the node's name.")  # fmt: skip
@options.job(dry_run=False)
@click.pass_obj
def command(
    current: session.Session,
    *,
    program: str,
    names: tuple[str, ...],
    group: str | None,
    alone: bool,
    with_names: bool,
    how: options.How,
) -> int:
    """Run a program on nodes that their administrator allows: /etc/ganeti/restricted-commands."""
    nodes = _nodes(current, names, group)
    op = node.RestrictedCommand(command=program, nodes=nodes, use_locking=alone)
    results = following.run(current, [op], how)
    if results is None:
        return 0
    if how.as_json:
        current.out_json([[name, *one] for name, one in zip(nodes, results[0], strict=True)])
    for name, (is_good, text) in zip(nodes, results[0], strict=True):
        if how.as_json:
            continue
        if not is_good:
            current.tell(str(text))
        elif with_names:
            for line in text.splitlines():
                current.out(f"{name}: {line}")
        else:
            current.out(f"------------------------------------------------\nNode: {name}\n{text}")
    return 0 if all(is_good for is_good, _ in results[0]) else 1


def _nodes(current: session.Session, names: tuple[str, ...], group: str | None) -> list[str]:
    """Return the online nodes that are meant; raises BadInput if there are none."""
    if not (names or group):
        raise errors.BadInput("name nodes, or a group with -g")
    rows = current.client.query_nodes(names, ["name", "offline", "group"])
    found = []
    for name, offline, of in rows:
        if group and of != group:
            continue
        if offline:
            current.tell(f"{name} is offline, left out")
        else:
            found.append(name)
    if not found:
        raise errors.BadInput("there are no such nodes that are online")
    return found
