"""The sub-command ``gnt-instance list-fields``."""

import click

from pyganeti.cli import listing, session


@click.command()
@click.argument("fields", nargs=-1)
@listing.options(with_query=False)
@click.pass_obj
def command(current: session.Session, *, fields: tuple[str, ...], look: listing.Look) -> int:
    """List what can be shown of instances: all fields, or those given."""
    return listing.show_fields(current, "instance", fields, look)
