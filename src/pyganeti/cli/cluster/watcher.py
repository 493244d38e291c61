"""The sub-command ``gnt-cluster watcher``."""

import time

import click

from pyganeti.base import durations, errors
from pyganeti.cli import session, tables


@click.command()
@click.argument("action", type=click.Choice(["pause", "continue", "info"]))
@click.argument("duration", required=False)
@click.pass_obj
def command(current: session.Session, *, action: str, duration: str | None) -> None:
    """Have the watcher rest for a time (pause 30m), go on, or say whether it rests."""
    if (action == "pause") != (duration is not None):
        raise errors.BadInput("pause takes a time, such as 30m, and nothing else does")
    if action == "continue":
        current.client.set_watcher_pause(None)
        current.out("The watcher is no longer paused.")
    elif duration is not None:
        until = current.client.set_watcher_pause(time.time() + durations.seconds(duration))
        _tell(current, until)
    else:
        [until] = current.client.query_config_values(["watcher_pause"])
        _tell(current, until)


def _tell(current: session.Session, until: float | None) -> None:
    if until is None:
        current.out("The watcher is not paused.")
    else:
        current.out(f"The watcher is paused until {tables.moment(until)}.")
