"""The sub-command ``gnt-cluster queue``."""

import click

from pyganeti.cli import session


@click.command()
@click.argument("action", type=click.Choice(["drain", "undrain", "info"]))
@click.pass_obj
def command(current: session.Session, *, action: str) -> None:
    """Let the job queue take no further jobs (drain), take them again, or say what it does."""
    if action == "info":
        [is_drained] = current.client.query_config_values(["drain_flag"])
        current.out(f"The drain flag is {'set' if is_drained else 'unset'}")
    else:
        current.client.set_drain(is_drained=action == "drain")
