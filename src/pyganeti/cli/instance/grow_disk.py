"""The sub-command ``gnt-instance grow-disk``."""

import click

from pyganeti.cli import completing, following, options, params, session
from pyganeti.cli.instance import choosing
from pyganeti.model.opcodes import instance


@click.command()
@click.argument("name", shell_complete=completing.instances)
@click.argument("disk", type=click.IntRange(0, 15), shell_complete=completing.disks)
@click.argument("amount", type=params.AMOUNT)
@click.option("--absolute", is_flag=True, help="The amount is the new size, not what is added.")
@click.option(
    "--no-wait-for-sync", is_flag=True, help="For Ganeti's sake: no disk has copies here."
)
@click.option("--ignore-ipolicy", is_flag=True, help="Do so even against the group's policy.")
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    name: str,
    disk: int,
    amount: int,
    absolute: bool,
    no_wait_for_sync: bool,
    ignore_ipolicy: bool,
    how: options.How,
) -> None:
    """Make a disk of an instance larger, by an amount such as 2G; a running guest sees it at once.

    Disks are counted from 0. What is on them has to be made larger from inside.
    """
    [name] = choosing.known(current, [name])
    op = instance.InstanceGrowDisk(
        instance_name=name,
        disk=disk,
        amount=amount,
        absolute=absolute,
        wait_for_sync=not no_wait_for_sync,
        ignore_ipolicy=ignore_ipolicy,
    )
    following.do(current, [op], how)
