"""The sub-command ``gnt-node powercycle``."""

import click

from pyganeti.cli import asking, completing, following, options, session
from pyganeti.model.opcodes import node


@click.command()
@click.argument("name", shell_complete=completing.nodes)
@click.option("-f", "--force", is_flag=True, help="Reboot it even if it is the master.")
@click.option("--confirm", "--yes", "is_sure", is_flag=True, help="Do not ask whether it is meant.")
@options.job()
@click.pass_obj
def command(
    current: session.Session, *, name: str, force: bool, is_sure: bool, how: options.How
) -> int:
    """Reboot a node at once, its instances with it, though it may do nothing else any more."""
    asking.confirm(
        current,
        f"Reboot {name} the hard way, instances and all?",
        force=is_sure or how.dry_run,
        option="--yes",
    )
    results = following.run(current, [node.NodePowercycle(node_name=name, force=force)], how)
    if results and how.as_json:
        current.out_json(results[0])
    elif results and results[0]:
        current.tell(str(results[0]))
    return 0
