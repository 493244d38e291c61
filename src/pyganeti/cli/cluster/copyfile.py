"""The sub-command ``gnt-cluster copyfile``."""

import stat
from pathlib import Path

import click

from pyganeti.base import errors
from pyganeti.cli import completing, session, ssh


@click.command()
@click.option(
    "-n",
    "--node",
    "nodes",
    multiple=True,
    metavar="NODE",
    shell_complete=completing.nodes,
    help="To this node; may be given several times. Else to all.",
)
@click.option(
    "-g",
    "--node-group",
    "group",
    metavar="GROUP",
    shell_complete=completing.groups,
    help="To the nodes of this group.",
)
@click.option("--use-replication-network", is_flag=True, help="By the nodes' secondary addresses.")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def command(
    current: session.Session,
    *,
    nodes: tuple[str, ...],
    group: str | None,
    use_replication_network: bool,
    file: Path,
) -> int:
    """Copy FILE from here to the same place on other nodes, over ssh, its mode with it.

    There it is replaced whole, or not at all. Ends with 1 if it failed on any.
    """
    path = file.absolute()
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise errors.BadInput(f"{path} cannot be copied: {error.strerror}") from error
    everywhere = ssh.targets(current, nodes, group, secondary=use_replication_network)
    others = [target for target in everywhere if not target.is_here]
    failed = False
    for target, status, output in ssh.run(
        others, ssh.writing(str(path), stat.S_IMODE(mode)), content
    ):
        if status:
            failed = True
            said = output.decode(errors="replace").strip() or f"exit status {status}"
            current.tell(f"Copy of file {path} to node {target.name}:{target.port} failed: {said}")
    return int(failed)
