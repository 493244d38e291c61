"""The sub-command ``gnt-debug locks``."""

import time

import click

from pyganeti.cli import listing, session

USUAL = ("name", "mode", "owner", "pending")
_KINDS = {"pending": "pending"}


@click.command()
@listing.options(what="lock")
@click.option("--interval", type=click.FloatRange(min=0, min_open=True),
              help="Show them again every so many seconds, until interrupted.")  # fmt: skip
@click.pass_obj
def command(current: session.Session, *, look: listing.Look, interval: float | None) -> int:
    """Show which locks there are, which jobs hold them, and which wait."""
    while True:
        code = listing.show(current, "lock", (), USUAL, look, kinds=_KINDS)
        if interval is None:
            return code
        current.out()
        time.sleep(interval)
