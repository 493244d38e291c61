"""The sub-command ``gnt-node remove``."""

import click

from pyganeti.cli import asking, completing, following, options, session
from pyganeti.model.opcodes import node


@click.command()
@click.argument("name", metavar="NODE", shell_complete=completing.nodes)
@options.force
@options.job()
@click.pass_obj
def command(current: session.Session, *, name: str, force: bool, how: options.How) -> int:
    """Have NODE leave the cluster: it forgets the cluster's keys, and its node daemon ends.

    It must have no instances, and not be the master.
    """
    # Where nobody can be asked a script means it: the node can be added again.
    if current.can_ask and not how.dry_run:
        asking.confirm(current, f"Remove {name} from the cluster?", force=force)
    following.do(current, [node.NodeRemove(node_name=name)], how)
    return 0
