"""The sub-command ``gnt-cluster show-ispecs-cmd``."""

import shlex

import click

from pyganeti.cli import policies, session


@click.command()
@click.pass_obj
def command(current: session.Session) -> None:
    """Print the command that would make this cluster with its instance specifications."""
    info = current.client.query_cluster_info()
    current.out(shlex.join(["gnt-cluster", "init", *policies.words(info["ipolicy"]), info["name"]]))
