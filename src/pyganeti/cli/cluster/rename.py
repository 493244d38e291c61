"""The sub-command ``gnt-cluster rename``."""

import click

from pyganeti.cli import asking, following, options, session
from pyganeti.model.opcodes import cluster


@click.command()
@click.argument("name")
@options.force
@options.job()
@click.pass_obj
def command(current: session.Session, *, name: str, force: bool, how: options.How) -> int:
    """Give the cluster another name, and the address that NAME resolves to."""
    [before] = current.client.query_config_values(["cluster_name"])
    asking.confirm(
        current,
        f"This will rename the cluster from '{before}' to '{name}'. Whoever is connected to the"
        " cluster's address is cut off, and if that is you the change may not go through."
        " Continue?",
        force=force,
    )
    results = following.run(current, [cluster.ClusterRename(name=name)], how)
    if results and how.as_json:
        current.out_json(results[0])
    elif results and results[0]:
        current.out(f"Cluster renamed from '{before}' to '{results[0]}'")
    return 0
