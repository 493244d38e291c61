"""The sub-command ``gnt-group info``."""

from collections.abc import Mapping
from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import completing, details, policies, recoverypolicy, session

_FIELDS = [
    "name", "uuid", "alloc_policy", "node_list", "pinst_list", "tags", "ndparams",
    "custom_ndparams", "diskparams", "custom_diskparams", "ipolicy",
]  # fmt: skip


@click.command()
@click.argument("names", nargs=-1, shell_complete=completing.groups)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
@click.pass_obj
def command(current: session.Session, *, names: tuple[str, ...], as_json: bool) -> None:
    """Tell everything about node groups: these, or all."""
    rows = current.client.query("group", _FIELDS)["data"]
    groups = [dict(zip(_FIELDS, (cell[1] for cell in row), strict=True)) for row in rows]
    known = {one[key]: one for one in groups for key in ("name", "uuid")}
    for name in names:
        if name not in known:
            raise errors.BadInput(f"there is no node group {name!r}", "unknown_entity")
    above = recoverypolicy.above(current)
    for place, one in enumerate([known[name] for name in names] or groups):
        told = _about(one, above)
        if as_json:
            current.out_json(details.plain(told))
            continue
        if place:
            current.out()
        for line in details.lines(told):
            current.out(line)


def _about(group: dict[str, Any], above: recoverypolicy.Above) -> details.Pairs:
    own = group["custom_diskparams"] or {}
    disks = [
        (template, _params(params, own.get(template) or {}))
        for template, params in sorted((group["diskparams"] or {}).items())
        if params
    ]
    return [
        ("Node group", group["name"]),
        ("UUID", group["uuid"]),
        ("allocation policy", group["alloc_policy"]),
        ("nodes", sorted(group["node_list"] or ())),
        ("primary instances", sorted(group["pinst_list"] or ())),
        ("tags", sorted(group["tags"] or ())),
        ("Node parameters", _params(group["ndparams"] or {}, group["custom_ndparams"] or {})),
        ("Disk parameters", disks),
        ("Instance policy", policies.told(group["ipolicy"])),
        (recoverypolicy.TITLE, above.told(group["tags"] or ())),
    ]


def _params(filled: Mapping[str, Any], own: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        (name, value if name in own else f"default ({value})")
        for name, value in sorted(filled.items())
    ]
