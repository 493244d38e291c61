"""The sub-command ``gnt-instance failover``."""

import click

from pyganeti.cli import asking, completing, following, moving, options, params, session
from pyganeti.cli.instance import choosing
from pyganeti.model.opcodes import instance


@click.command()
@click.argument("name", shell_complete=completing.instances)
@options.force
@moving.where
@click.option("--ignore-consistency", is_flag=True,
              help="Go on if it cannot be stopped where it is: it must not run there.")  # fmt: skip
@click.option("--shutdown-timeout", type=params.TIME, default="120", show_default=True,
              help="How long it has to power down before it is ended.")  # fmt: skip
@click.option("--cleanup", is_flag=True, help="Put right what an interrupted move has left.")
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    name: str,
    force: bool,
    target: str | None,
    iallocator: str | None,
    ignore_ipolicy: bool,
    ignore_consistency: bool,
    shutdown_timeout: int,
    cleanup: bool,
    how: options.How,
) -> None:
    """Stop an instance, if its node is alive, and start it on another that reaches its disks.

    If its node is dead, mark that as offline first: gnt-node modify --offline=yes.
    """
    moving.check(target, iallocator)
    [name] = choosing.known(current, [name])
    if not how.dry_run:
        asking.confirm(
            current, f"Instance {name} will be shut down to move it. Continue?", force=force
        )
        if ignore_consistency:
            asking.confirm(
                current,
                f"If {name} still ran on its old node, its disks would be destroyed. Is that node"
                " certainly down?",
                force=force,
            )
    op = instance.InstanceFailover(
        instance_name=name,
        target_node=target,
        iallocator=iallocator,
        ignore_ipolicy=ignore_ipolicy,
        ignore_consistency=ignore_consistency,
        shutdown_timeout=shutdown_timeout,
        cleanup=cleanup,
    )
    following.do(current, [op], how)
