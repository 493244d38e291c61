"""The sub-command ``gnt-cluster deactivate-master-ip``."""

import click

from pyganeti.cli import asking, following, options, session
from pyganeti.model.opcodes import cluster

_QUESTION = (
    "Connections to the cluster's address will end, and the master will be reached by its own"
    " address only. Continue?"
)


@click.command()
@click.option("--yes", "-f", "--force", "force", is_flag=True, help="Do not ask.")
@options.job()
@click.pass_obj
def command(current: session.Session, *, force: bool, how: options.How) -> None:
    """Have the master give the cluster's address back, until it is activated again."""
    asking.confirm(current, _QUESTION, force=force or how.dry_run)
    following.do(current, [cluster.ClusterDeactivateMasterIp()], how)
