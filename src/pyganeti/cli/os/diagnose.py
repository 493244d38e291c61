"""The sub-command ``gnt-os diagnose``."""

from typing import Any

import click

from pyganeti.cli import following, options, session
from pyganeti.model.opcodes import query

_FIELDS = ["name", "valid", "variants", "node_status", "hidden", "blacklisted"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(current: session.Session, *, as_json: bool) -> int:
    """Tell of each OS definition on which nodes it is, and what is wrong with it where."""
    results = following.run(
        current, [query.OsDiagnose(output_fields=_FIELDS)], options.How(as_json=as_json)
    )
    rows = [dict(zip(_FIELDS, row, strict=True)) for row in (results[0] if results else ())]
    if as_json:
        for row in rows:
            current.out_json(row)
    else:
        names = dict(current.client.query_nodes([], ["uuid", "name"]))
        for row in rows:
            _tell(current, row, names)
    return 0 if all(row["valid"] for row in rows) else 1


def _tell(current: session.Session, row: dict[str, Any], names: dict[str, str]) -> None:
    marks = [word for word in ("hidden", "blacklisted") if row[word]]
    state = ", ".join(["valid" if row["valid"] else "INVALID", *marks])
    current.out(f"OS: {row['name']} [global status: {state}]")
    if row["variants"]:
        current.out(f"  Variants: [{', '.join(row['variants'])}]")
    on_nodes = {names.get(uuid, uuid): found for uuid, found in (row["node_status"] or {}).items()}
    for node, entries in sorted(on_nodes.items()):
        if not entries:
            current.out(f"  Node: {node}, status: not there")
        for path, is_good, why, *_ in entries:
            status = "VALID" if is_good else f"INVALID: {why}"
            current.out(f"  Node: {node}, status: {status} (path: {path})")
