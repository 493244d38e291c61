"""The sub-command ``gnt-os list``."""

import click

from pyganeti.cli import following, options, session
from pyganeti.model.opcodes import query


@click.command("list")
@click.option("--no-headers", is_flag=True, help="Leave the line of titles out.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_obj
def command(current: session.Session, *, no_headers: bool, as_json: bool) -> None:
    """List the OS definitions that every node has in order, with their variants."""
    op = query.OsDiagnose(output_fields=["name", "variants"])
    results = following.run(current, [op], options.How(as_json=as_json))
    names = []
    for name, variants in results[0] if results else ():
        names += [f"{name}+{variant}" for variant in variants or ()] or [name]
    if as_json:
        current.out_json(sorted(names))
        return
    if not no_headers:
        current.out("Name")
    for name in sorted(names):
        current.out(name)
