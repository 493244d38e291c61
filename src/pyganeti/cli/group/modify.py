"""The sub-command ``gnt-group modify``."""

from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import completing, following, options, recoverysettings, session
from pyganeti.cli.group import describing
from pyganeti.model.opcodes import base, group


@click.command()
@click.argument("name", shell_complete=completing.groups)
@describing.options
@recoverysettings.of_many
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    name: str,
    how: options.How,
    **given: Any,  # noqa: ANN401 - an option each
) -> None:
    """Change a node group; a parameter with the value default is the cluster's again."""
    falling = recoverysettings.taken(given)
    changes = describing.understood(given)
    if not (changes or falling):
        raise errors.BadInput(
            f"nothing to change; see {current.program} modify --help for what could be"
        )
    opcodes: list[base.Opcode] = []
    if changes:
        opcodes.append(group.GroupSetParams(group_name=name, **changes))
    opcodes += recoverysettings.opcodes(current, "nodegroup", name, falling)
    results = following.run(current, opcodes, how) if opcodes else []
    if results is None:
        return
    told = [*((changes and results[0]) or ()), *falling.changes]
    if how.as_json:
        current.out_json(told)
        return
    for what, value in told:
        current.out(f" - {what:<5} -> {value}")
