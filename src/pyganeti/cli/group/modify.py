"""The sub-command ``gnt-group modify``."""

from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import completing, following, options, session
from pyganeti.cli.group import describing
from pyganeti.model.opcodes import group


@click.command()
@click.argument("name", shell_complete=completing.groups)
@describing.options
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
    changes = describing.understood(given)
    if not changes:
        raise errors.BadInput(
            f"nothing to change; see {current.program} modify --help for what could be"
        )
    results = following.run(current, [group.GroupSetParams(group_name=name, **changes)], how)
    if results is None:
        return
    if how.as_json:
        current.out_json(results[0])
        return
    for what, value in results[0] or ():
        current.out(f" - {what:<5} -> {value}")
