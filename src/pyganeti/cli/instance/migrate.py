"""The sub-command ``gnt-instance migrate``."""

import click

from pyganeti.cli import asking, completing, following, moving, options, session
from pyganeti.cli.instance import choosing
from pyganeti.model.opcodes import instance


@click.command()
@click.argument("name", shell_complete=completing.instances)
@options.force
@moving.where
@moving.live
@click.option("--cleanup", is_flag=True,
              help="Put right what an interrupted migration has left.")  # fmt: skip
@click.option("--allow-failover", is_flag=True,
              help="Stop it and start it elsewhere if it cannot be migrated.")  # fmt: skip
@click.option("--ignore-hvversions", is_flag=True,
              help="Do not mind if the nodes have different versions of qemu.")  # fmt: skip
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
    non_live: bool,
    mode: moving.Mode | None,
    no_runtime_changes: bool,
    cleanup: bool,
    allow_failover: bool,
    ignore_hvversions: bool,
    how: options.How,
) -> None:
    """Move a running instance to another node that reaches its disks, without stopping it."""
    moving.check(target, iallocator)
    wanted = moving.mode_of(mode, non_live=non_live)
    [name] = choosing.known(current, [name])
    if not how.dry_run:
        what = "be recovered from an interrupted migration" if cleanup else "be migrated"
        asking.confirm(
            current,
            f"Instance {name} will {what}. Should its qemu have a fault, it may suffer. Continue?",
            force=force,
        )
    op = instance.InstanceMigrate(
        instance_name=name,
        mode=wanted,
        target_node=target,
        iallocator=iallocator,
        ignore_ipolicy=ignore_ipolicy,
        allow_runtime_changes=not no_runtime_changes,
        cleanup=cleanup,
        allow_failover=allow_failover,
        ignore_hvversions=ignore_hvversions,
    )
    following.do(current, [op], how)
