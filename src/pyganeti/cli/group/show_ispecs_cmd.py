"""The sub-command ``gnt-group show-ispecs-cmd``."""

import shlex

import click

from pyganeti.base import errors
from pyganeti.cli import completing, policies, session


@click.command()
@click.argument("names", nargs=-1, shell_complete=completing.groups)
@click.pass_obj
def command(current: session.Session, *, names: tuple[str, ...]) -> None:
    """Print the commands that would make node groups with their instance specifications."""
    rows = current.client.query("group", ["name", "ipolicy"])["data"]
    groups = {row[0][1]: row[1][1] for row in rows}
    for name in names:
        if name not in groups:
            raise errors.BadInput(f"there is no node group {name!r}", "unknown_entity")
    for name in names or sorted(groups):
        words = policies.words(groups[name])
        current.out(shlex.join(["gnt-group", "add", *words, name]))
