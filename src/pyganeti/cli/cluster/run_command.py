"""The sub-command ``gnt-cluster command``."""

import click

from pyganeti.cli import completing, session, ssh

_RULE = "-" * 48


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "-n",
    "--node",
    "nodes",
    multiple=True,
    metavar="NODE",
    shell_complete=completing.nodes,
    help="On this node; may be given several times. Else on all.",
)
@click.option(
    "-g",
    "--node-group",
    "group",
    metavar="GROUP",
    shell_complete=completing.groups,
    help="On the nodes of this group.",
)
@click.option(
    "-M", "--show-machine-names", is_flag=True, help="Print the node's name before each line."
)
@click.option("--failure-only", is_flag=True, help="Print only what failed.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, for programs.")
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def command(
    current: session.Session,
    *,
    nodes: tuple[str, ...],
    group: str | None,
    show_machine_names: bool,
    failure_only: bool,
    as_json: bool,
    words: tuple[str, ...],
) -> int:
    """Run COMMAND on nodes as root, over ssh, the master last.

    Ends with 1 if it failed on any. The administrator's own ssh keys are used.
    """
    everywhere = ssh.targets(current, nodes, group)
    failed = False
    told = []
    for target, status, output in ssh.run(everywhere, ssh.quoted(words)):
        failed = failed or status != 0
        if failure_only and status == 0:
            continue
        text = output.decode(errors="replace")
        if as_json:
            told.append({"node": target.name, "status": status, "output": text})
            continue
        current.out(_RULE)
        if show_machine_names:
            for line in text.splitlines():
                current.out(f"{target.name}: {line}")
        else:
            current.out(f"node: {target.name}")
            current.out(text.rstrip("\n"))
        current.out(f"return code = {status}")
    if as_json:
        current.out_json(told)
    return int(failed)
