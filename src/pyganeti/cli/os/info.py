"""The sub-command ``gnt-os info``."""

import click

from pyganeti.cli import details, following, options, session
from pyganeti.model.opcodes import query

_FIELDS = ["name", "valid", "variants", "parameters", "api_versions", "hidden", "blacklisted"]


@click.command()
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(current: session.Session, *, names: tuple[str, ...], as_json: bool) -> int:
    """Tell which parameters and variants OS definitions have: all, or those named."""
    op = query.OsDiagnose(output_fields=_FIELDS, names=list(names))
    results = following.run(current, [op], options.How(as_json=as_json))
    rows = [dict(zip(_FIELDS, row, strict=True)) for row in (results[0] if results else ())]
    missing = sorted(set(names) - {row["name"] for row in rows})
    for row in rows:
        if as_json:
            current.out_json(row)
            continue
        told = [
            (f"{row['name']}", [
                ("valid", row["valid"]),
                ("hidden", row["hidden"]),
                ("blacklisted", row["blacklisted"]),
                ("API versions", row["api_versions"]),
                ("variants", row["variants"]),
                ("parameters", [(name, words) for name, words in row["parameters"] or ()]),
            ])
        ]  # fmt: skip
        for line in details.lines(told):
            current.out(line)
    for name in missing:
        current.tell(f"{current.program}: there is no OS definition {name}")
    return 1 if missing else 0
