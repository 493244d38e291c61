"""The sub-command ``gnt-cluster repair-disk-sizes``."""

import click

from pyganeti.cli import completing, following, options, session
from pyganeti.model.opcodes import cluster


@click.command()
@click.argument("instances", nargs=-1, shell_complete=completing.instances)
@options.job()
@click.pass_obj
def command(current: session.Session, *, instances: tuple[str, ...], how: options.How) -> int:
    """Have the recorded sizes of disks, of these instances or all, say how large they are."""
    op = cluster.ClusterRepairDiskSizes(instances=list(instances))
    results = following.run(current, [op], how)
    if results and how.as_json:
        current.out_json(results[0])
    return 0
