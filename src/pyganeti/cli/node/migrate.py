"""The sub-command ``gnt-node migrate``."""

import click

from pyganeti.base import errors
from pyganeti.cli import asking, completing, following, moving, options, session
from pyganeti.model.opcodes import node


@click.command()
@click.argument("name", shell_complete=completing.nodes)
@options.force
@moving.where
@moving.live
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    name: str,
    force: bool,
    target: str | None,
    iallocator: str | None,
    ignore_ipolicy: bool,
    non_live: bool,
    mode: moving.Mode | None,
    no_runtime_changes: bool,
    how: options.How,
) -> int:
    """Move all instances that run on a node elsewhere, without stopping them."""
    moving.check(target, iallocator)
    wanted = moving.mode_of(mode, non_live=non_live)
    rows = current.client.query_nodes([name], ["name", "pinst_list"])
    if not rows:
        raise errors.BadInput(f"there is no node {name!r}", "unknown_entity")
    [[name, instances]] = rows
    if not instances:
        current.tell(f"There are no instances on {name}.")
        return 0
    if not how.dry_run:
        asking.confirm(current, f"Migrate {', '.join(sorted(instances))}?", force=force)
    op = node.NodeMigrate(
        node_name=name,
        mode=wanted,
        target_node=target,
        iallocator=iallocator,
        ignore_ipolicy=ignore_ipolicy,
        allow_runtime_changes=not no_runtime_changes,
    )
    results = following.run(current, [op], how)
    if not results or results[0] is None:
        return 0
    taken = results[0]["jobs"]
    failed = following.follow_jobs(
        current, taken, [f"migration {n}" for n in range(1, len(taken) + 1)], how
    )
    if failed:
        raise errors.Failure(f"{failed} of {len(taken)} instances of {name} were not migrated")
    return 0
