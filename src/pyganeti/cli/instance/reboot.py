"""The sub-command ``gnt-instance reboot``."""

from typing import Literal

import click

from pyganeti.cli import options, params, session
from pyganeti.cli.instance import acting, choosing
from pyganeti.model.opcodes import instance


@click.command()
@choosing.options
@options.force
@click.option("-t", "--type", "kind", type=click.Choice(["soft", "hard", "full"]), default="hard",
              show_default=True,
              help="soft: by the guest; hard: a new qemu; full: its disks anew, too.")  # fmt: skip
@click.option("--ignore-secondaries", is_flag=True, help="Do not mind secondaries that fail.")
@click.option("--shutdown-timeout", type=params.TIME, default="120", show_default=True,
              help="How long it has to power down before it is ended.")  # fmt: skip
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    words: tuple[str, ...],
    way: str | None,
    force_multi: bool,
    force: bool,
    kind: Literal["soft", "hard", "full"],
    ignore_secondaries: bool,
    shutdown_timeout: int,
    how: options.How,
) -> int:
    """Reboot instances."""
    names = choosing.chosen(current, words, way, verb="reboot", force_multi=force_multi or force)

    def make(name: str) -> instance.InstanceReboot:
        return instance.InstanceReboot(
            instance_name=name,
            reboot_type=kind,
            ignore_secondaries=ignore_secondaries,
            shutdown_timeout=shutdown_timeout,
        )

    return acting.on_each(current, names, make, how)
