"""The sub-command ``gnt-instance list``."""

import click

from pyganeti.cli import completing, listing, session

USUAL = ("name", "hypervisor", "os", "pnode", "status", "oper_ram")
_KINDS = {"ctime": "timestamp", "mtime": "timestamp"}


@click.command()
@click.argument("words", nargs=-1, shell_complete=completing.instances)
@listing.options()
@click.pass_obj
def command(current: session.Session, *, words: tuple[str, ...], look: listing.Look) -> int:
    """List instances and how they are: all, by name or pattern, or those that a filter matches."""
    return listing.show(current, "instance", words, USUAL, look, kinds=_KINDS)
