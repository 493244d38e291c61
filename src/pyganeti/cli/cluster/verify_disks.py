"""The sub-command ``gnt-cluster verify-disks``."""

from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import completing, following, options, session
from pyganeti.model.opcodes import cluster, instance


@click.command()
@click.option(
    "--node-group",
    "group",
    metavar="GROUP",
    shell_complete=completing.groups,
    help="Look at the instances of this group only.",
)
@options.job(dry_run=False)
@click.pass_obj
def command(current: session.Session, *, group: str | None, how: options.How) -> int:
    """Look for missing disks of instances that run, and assemble those that only have to be."""
    results = following.run(current, [cluster.ClusterVerifyDisks(group_name=group)], how)
    if results is None:
        return 0
    names = dict(current.client.query_nodes([], ["uuid", "name"]))
    failed, told = 0, []
    for is_taken, number in results[0]["jobs"]:
        try:
            if not is_taken:
                raise errors.Refused(str(number))
            [found] = following.follow(current, int(number), "verifying disks", quiet=how.as_json)
        except errors.Failure as error:
            current.tell(f"{current.program}: job failed: {error}")
            failed += 1
            continue
        failed += _tell(current, found, names, how)
        told.append(dict(zip(("bad_nodes", "activated", "missing"), found, strict=True)))
    if how.as_json:
        current.out_json(told)
    return 1 if failed else 0


def _tell(
    current: session.Session,
    found: Any,  # noqa: ANN401 - JSON
    names: dict[str, str],
    how: options.How,
) -> int:
    """Tell of one group, and assemble what has to be; return how much is wrong."""
    bad_nodes, to_assemble, missing = found
    say = current.tell if how.as_json else current.out
    failed = 0
    for uuid, text in bad_nodes.items():
        failed += 1
        say(f"Error gathering data on node {names.get(uuid, uuid)}: {text}")
    for name in to_assemble:
        if name in missing:
            continue
        say(f"Activating disks for instance '{name}'")
        try:
            following.run(
                current,
                [instance.InstanceActivateDisks(instance_name=name)],
                options.How(priority=how.priority, reason=how.reason, as_json=how.as_json),
            )
        except errors.Failure as error:
            failed += 1
            current.tell(f"Error activating disks for instance {name}: {error}")
    for name, places in sorted(missing.items()):
        failed += 1
        say(f"Instance {name} has missing disks:")
        for uuid, what in sorted(places):
            say(f"  on {names.get(uuid, uuid)}: {what}")
    if missing:
        say(
            "If this stays after broken nodes are mended, replace or recreate the disks of these"
            " instances."
        )
    elif not to_assemble and not bad_nodes:
        say("No disks need to be activated.")
    return failed
