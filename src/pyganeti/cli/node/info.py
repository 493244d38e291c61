"""The sub-command ``gnt-node info``."""

from typing import Any

import click

from pyganeti.cli import completing, details, session

_FIELDS = [
    "name", "pip", "sip", "pinst_list", "sinst_list", "master_candidate", "drained", "offline",
    "master_capable", "vm_capable", "powered", "ndparams", "custom_ndparams",
]  # fmt: skip


@click.command()
@click.argument("names", nargs=-1, shell_complete=completing.nodes)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
@click.pass_obj
def command(current: session.Session, *, names: tuple[str, ...], as_json: bool) -> int:
    """Tell everything about nodes: these, or all."""
    missing = 0
    for place, name in enumerate(names or _all(current)):
        rows = current.client.query_nodes([name], _FIELDS)
        if not rows:
            missing += 1
            current.tell(f"{current.program}: there is no node {name!r}")
        for row in rows:
            told = _about(dict(zip(_FIELDS, row, strict=True)))
            if as_json:
                current.out_json(details.plain(told))
                continue
            if place:
                current.out()
            for line in details.lines(told):
                current.out(line)
    return 1 if missing else 0


def _all(current: session.Session) -> list[str]:
    return [row[0] for row in current.client.query_nodes([], ["name"])]


def _about(node: dict[str, Any]) -> details.Pairs:
    own = node["custom_ndparams"] or {}
    params = [
        (name, value if name in own else f"default ({value})")
        for name, value in sorted((node["ndparams"] or {}).items())
    ]
    return [
        ("Node name", node["name"]),
        ("primary ip", node["pip"]),
        ("secondary ip", node["sip"]),
        ("master candidate", node["master_candidate"]),
        ("drained", node["drained"]),
        ("offline", node["offline"]),
        ("powered", node["powered"]),
        ("master_capable", node["master_capable"]),
        ("vm_capable", node["vm_capable"]),
        ("primary for instances", sorted(node["pinst_list"])),
        ("secondary for instances", sorted(node["sinst_list"])),
        ("node parameters", params),
    ]
