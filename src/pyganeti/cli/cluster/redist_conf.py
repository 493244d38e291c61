"""The sub-command ``gnt-cluster redist-conf``."""

import click

from pyganeti.cli import following, options, session
from pyganeti.model.opcodes import cluster


@click.command()
@click.option("--yes-do-it", is_flag=True, help="Even while the queue takes no jobs.")
@options.job()
@click.pass_obj
def command(current: session.Session, *, yes_do_it: bool, how: options.How) -> None:
    """Send every node the configuration, the settings and the common files again."""
    following.do(current, [cluster.ClusterRedistConf()], how, even_drained=yes_do_it)
