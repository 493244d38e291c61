"""The sub-command ``gnt-cluster watcher``."""

import time

import click

from pyganeti.base import durations, errors
from pyganeti.cli import session


@click.command()
@click.argument("action", type=click.Choice(["pause", "continue", "info"]))
@click.argument("duration", required=False)
@click.pass_obj
def command(current: session.Session, *, action: str, duration: str | None) -> None:
    """Have the watcher rest for a time (pause 30m), go on, or say how it is."""
    if (action == "pause") != (duration is not None):
        raise errors.BadInput("pause takes a time, such as 30m, and nothing else does")
    if action == "continue":
        current.client.set_watcher_pause(None)
        current.out("The watcher is no longer paused.")
        return
    from pyganeti.base import watchers

    if duration is not None:
        until = current.client.set_watcher_pause(time.time() + durations.seconds(duration))
        current.out(watchers.paused(until))
        return
    [until] = current.client.query_config_values(["watcher_pause"])
    current.out(watchers.paused(until))
    try:
        found = watchers.find(current.layout)
    except OSError as error:
        raise errors.Denied(f"{current.layout.state_dir}: {error.strerror}") from error
    for line in watchers.told(found):
        current.out(line)
