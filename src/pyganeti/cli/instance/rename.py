"""The sub-command ``gnt-instance rename``."""

import click

from pyganeti.cli import completing, following, options, session
from pyganeti.model.opcodes import instance


@click.command()
@click.argument("name", shell_complete=completing.instances)
@click.argument("new_name")
@click.option(
    "--name-check/--no-name-check",
    default=True,
    help="Whether the new name has to resolve (it has to, unless told otherwise).",
)
@click.option(
    "--ip-check/--no-ip-check", default=True, help="Whether nobody must have its address yet."
)
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    name: str,
    new_name: str,
    name_check: bool,
    ip_check: bool,
    how: options.How,
) -> int:
    """Give an instance that is down another name; its files go along."""
    op = instance.InstanceRename(
        instance_name=name,
        new_name=new_name,
        name_check=name_check,
        ip_check=ip_check and name_check,
    )
    results = following.run(current, [op], how)
    if results is None:
        return 0
    if how.as_json:
        current.out_json(results[0])
    else:
        words = "can be renamed to" if how.dry_run else "is now"
        current.out(f"Instance '{name}' {words} '{results[0]}'")
    return 0
