"""The sub-command ``gnt-instance startup``."""

from typing import Any

import click

from pyganeti.cli import options, params, session
from pyganeti.cli.instance import acting, choosing
from pyganeti.model.opcodes import instance


@click.command()
@choosing.options
@options.force
@click.option("--paused", "paused", is_flag=True, help="Start it, but do not let it run yet.")
@click.option("--ignore-offline", is_flag=True, help="Mark it as started if its node is offline.")
@click.option("--no-remember", is_flag=True, help="Do not remember that it is to run.")
@click.option("-H", "--hypervisor-parameters", "hvparams", type=params.HYPERVISOR,
              help="Use these, this time only.")  # fmt: skip
@click.option("-B", "--backend-parameters", "beparams", type=params.BACKEND,
              help="Use these, this time only.")  # fmt: skip
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    words: tuple[str, ...],
    way: str | None,
    force_multi: bool,
    force: bool,
    paused: bool,
    ignore_offline: bool,
    no_remember: bool,
    hvparams: dict[str, Any] | None,
    beparams: dict[str, Any] | None,
    how: options.How,
) -> int:
    """Start instances."""
    names = choosing.chosen(current, words, way, verb="start", force_multi=force_multi or force)

    def make(name: str) -> instance.InstanceStartup:
        return instance.InstanceStartup(
            instance_name=name,
            force=force,
            startup_paused=paused,
            ignore_offline_nodes=ignore_offline,
            no_remember=no_remember,
            hvparams=hvparams or {},
            beparams=beparams or {},
        )

    return acting.on_each(current, names, make, how)
