"""The sub-command ``gnt-cluster destroy``."""

import click

from pyganeti.base import errors
from pyganeti.cli import following, options, session
from pyganeti.cli.bootstrap import leaving
from pyganeti.model.opcodes import cluster


@click.command()
@click.option("--yes-do-it", is_flag=True, help="Yes, it is meant: nothing else will ask.")
@options.job()
@click.pass_obj
def command(current: session.Session, *, yes_do_it: bool, how: options.How) -> int:
    """Take the cluster apart: its daemons end, and this node forgets it. Irreversible.

    There must be no other node and no instance any more.
    """
    if not yes_do_it and not how.dry_run:
        raise errors.BadInput(
            "destroying a cluster is irreversible; if it is meant, say --yes-do-it"
        )
    if how.submit:
        raise errors.BadInput("the cluster's end has to be waited for: leave --submit out")
    following.do(current, [cluster.ClusterDestroy()], how)
    if not how.dry_run:
        leaving.leave(current.layout)
    return 0
