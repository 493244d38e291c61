"""The sub-command ``gnt-cluster master-failover``."""

import os

import click

from pyganeti.base import errors
from pyganeti.cli import asking, session
from pyganeti.cli.bootstrap import failover, storing

_QUESTION = (
    "Without the other nodes' votes nobody knows whether another master runs. With two masters at"
    " once the cluster's configuration and queue are lost. Continue?"
)


@click.command()
@click.option(
    "--no-voting",
    is_flag=True,
    help="Do not ask the other nodes who the master is. Dangerous; asks whether it is meant.",
)
@click.option("--yes-do-it", is_flag=True, help="Yes, --no-voting is meant.")
@click.option(
    "--ignore-offline-nodes",
    is_flag=True,
    help="Count only the nodes that are not marked offline when a majority has to answer.",
)
@click.pass_obj
def command(
    current: session.Session, *, no_voting: bool, yes_do_it: bool, ignore_offline_nodes: bool
) -> None:
    """Make this node the master, in place of one that is gone or is to be one no more.

    It has to be a master candidate. Instances go on wherever they are. With a cluster that is kept
    in etcd nobody votes: the one that leads is asked to give its place up.
    """
    if os.geteuid() != 0:
        raise errors.Denied("the master is made by root")
    if storing.is_moved(current.layout):
        if no_voting or ignore_offline_nodes:
            raise errors.BadInput("nobody votes: the cluster is kept in etcd, which says who leads")
        from pyganeti.cli.bootstrap import handing

        handing.take_over(current.layout, current.tell)
        current.out(f"{current.layout.hostname} leads the cluster")
        return
    if no_voting:
        asking.confirm(current, _QUESTION, force=yes_do_it)
    node = failover.take_over(
        current.layout,
        no_voting=no_voting,
        ignore_offline=ignore_offline_nodes,
        say=current.tell,
        warn=lambda text: current.tell(f"warning: {text}"),
    )
    current.out(f"{node.name} is the master; gnt-cluster verify says whether all is well")
