"""The sub-command ``gnt-instance activate-disks``."""

import click

from pyganeti.cli import completing, following, options, session
from pyganeti.cli.instance import choosing
from pyganeti.model.opcodes import instance


@click.command()
@click.argument("name", shell_complete=completing.instances)
@click.option("--ignore-size", is_flag=True, help="Do not mind a disk of another size.")
@click.option("--wait-for-sync", is_flag=True, help="For Ganeti's sake: no disk has copies here.")
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    name: str,
    ignore_size: bool,
    wait_for_sync: bool,
    how: options.How,
) -> None:
    """Make an instance's disks ready on its node without starting it; say where they are.

    Each line is the node, the disk's name, and its device there.
    """
    [name] = choosing.known(current, [name])
    op = instance.InstanceActivateDisks(
        instance_name=name, ignore_size=ignore_size, wait_for_sync=wait_for_sync
    )
    results = following.run(current, [op], how)
    if not results or results[0] is None:
        return
    if how.as_json:
        current.out_json(results[0])
        return
    for words in results[0]:
        current.out(":".join(str(word) for word in words))
