"""The sub-command ``gnt-node failover``."""

import click

from pyganeti.base import errors
from pyganeti.cli import asking, completing, options, session
from pyganeti.cli.instance import acting
from pyganeti.model.opcodes import instance


@click.command()
@click.argument("name", shell_complete=completing.nodes)
@options.force
@click.option("--ignore-consistency", is_flag=True,
              help="Go on where instances cannot be stopped: they must not run there.")  # fmt: skip
@click.option("-I", "--iallocator", metavar="NAME",
              help="What chooses the nodes: a program, or 'builtin'.")  # fmt: skip
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    name: str,
    force: bool,
    ignore_consistency: bool,
    iallocator: str | None,
    how: options.How,
) -> int:
    """Stop all instances of a node, if it is alive, and start them elsewhere.

    If the node is dead, mark it as offline first: gnt-node modify --offline=yes.
    """
    rows = current.client.query_nodes([name], ["name", "pinst_list"])
    if not rows:
        raise errors.BadInput(f"there is no node {name!r}", "unknown_entity")
    [[name, instances]] = rows
    if not instances:
        current.tell(f"There are no instances on {name}.")
        return 0
    if not how.dry_run:
        asking.confirm(current, f"Fail over {', '.join(sorted(instances))}?", force=force)

    def make(instance_name: str) -> instance.InstanceFailover:
        return instance.InstanceFailover(
            instance_name=instance_name,
            ignore_consistency=ignore_consistency,
            iallocator=iallocator,
        )

    return acting.on_each(current, sorted(instances), make, how)
