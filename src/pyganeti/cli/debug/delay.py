"""The sub-command ``gnt-debug delay``."""

import click

from pyganeti.cli import completing, following, options, session
from pyganeti.model.opcodes import testing


@click.command()
@click.argument("seconds", type=float)
@click.option("-n", "--node", "nodes", multiple=True, shell_complete=completing.nodes,
              help="Wait on this node as well; may be given again.")  # fmt: skip
@click.option("--no-master", is_flag=True, help="Do not wait on the master.")
@click.option(
    "--no-locks/--locks", default=True, show_default=True, help="Take no locks meanwhile."
)
@click.option("-i", "--interruptible", is_flag=True, help="Let a write to a socket end it early.")
@click.option("--repeat", type=click.IntRange(0), default=0, help="Do it so many times.")
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    seconds: float,
    nodes: tuple[str, ...],
    no_master: bool,
    no_locks: bool,
    interruptible: bool,
    repeat: int,
    how: options.How,
) -> None:
    """Have a job wait so many seconds."""
    op = testing.TestDelay(
        duration=seconds,
        on_master=not no_master,
        on_nodes=list(nodes),
        no_locks=no_locks,
        interruptible=interruptible,
        repeat=repeat,
    )
    following.do(current, [op], how)
