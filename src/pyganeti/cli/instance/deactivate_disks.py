"""The sub-command ``gnt-instance deactivate-disks``."""

import click

from pyganeti.cli import completing, following, options, session
from pyganeti.cli.instance import choosing
from pyganeti.model.opcodes import instance


@click.command()
@click.argument("name", shell_complete=completing.instances)
@click.option("-f", "--force", is_flag=True, help="Do so even if the instance may run.")
@options.job()
@click.pass_obj
def command(current: session.Session, *, name: str, force: bool, how: options.How) -> None:
    """Let an instance's disks go on its node; the instance has to be down."""
    [name] = choosing.known(current, [name])
    following.do(current, [instance.InstanceDeactivateDisks(instance_name=name, force=force)], how)
