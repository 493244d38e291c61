"""The sub-command ``gnt-instance shutdown``."""

import click

from pyganeti.cli import options, params, session
from pyganeti.cli.instance import acting, choosing
from pyganeti.model.opcodes import instance


@click.command()
@choosing.options
@options.force
@click.option("--timeout", type=params.TIME, default="120", show_default=True,
              help="How long it has to power down before it is ended.")  # fmt: skip
@click.option("--ignore-offline", is_flag=True, help="Mark it as down if its node is offline.")
@click.option("--no-remember", is_flag=True, help="Do not remember that it is to be down.")
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    words: tuple[str, ...],
    way: str | None,
    force_multi: bool,
    force: bool,
    timeout: int,
    ignore_offline: bool,
    no_remember: bool,
    how: options.How,
) -> int:
    """Shut instances down: ask each to power down, and end it when its time is up."""
    names = choosing.chosen(current, words, way, verb="shut down", force_multi=force_multi or force)

    def make(name: str) -> instance.InstanceShutdown:
        return instance.InstanceShutdown(
            instance_name=name,
            force=force,
            timeout=timeout,
            ignore_offline_nodes=ignore_offline,
            no_remember=no_remember,
        )

    return acting.on_each(current, names, make, how)
