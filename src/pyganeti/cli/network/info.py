"""The sub-command ``gnt-network info``."""

from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import completing, details, session

_FIELDS = [
    "name", "uuid", "network", "gateway", "network6", "gateway6", "mac_prefix", "free_count",
    "reserved_count", "external_reservations", "map", "group_list", "inst_list", "tags",
]  # fmt: skip


@click.command()
@click.argument("names", nargs=-1, shell_complete=completing.networks)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
@click.pass_obj
def command(current: session.Session, *, names: tuple[str, ...], as_json: bool) -> None:
    """Tell everything about networks: these, or all."""
    rows = current.client.query("network", _FIELDS)["data"]
    found = [dict(zip(_FIELDS, (cell[1] for cell in row), strict=True)) for row in rows]
    known = {one[key]: one for one in found for key in ("name", "uuid")}
    for name in names:
        if name not in known:
            raise errors.BadInput(f"there is no network {name!r}", "unknown_entity")
    for place, one in enumerate([known[name] for name in names] or found):
        told = _about(one)
        if as_json:
            current.out_json(details.plain(told))
            continue
        if place:
            current.out()
        for line in details.lines(told):
            current.out(line)


def _about(network: dict[str, Any]) -> details.Pairs:
    taken, free = network["reserved_count"] or 0, network["free_count"] or 0
    return [
        ("Network name", network["name"]),
        ("UUID", network["uuid"]),
        ("MAC address prefix", network["mac_prefix"] or "-"),
        ("Subnet", network["network"]),
        ("Gateway", network["gateway"] or "-"),
        ("IPv6 Subnet", network["network6"] or "-"),
        ("IPv6 Gateway", network["gateway6"] or "-"),
        ("Size", taken + free),
        ("Free", free),
        ("Usage map", network["map"] or "-"),
        ("externally reserved IPs", network["external_reservations"] or "-"),
        (
            "connected to node groups",
            [
                (name, f"mode:{mode} link:{link} vlan:{vlan}")
                for name, mode, link, vlan in network["group_list"] or ()
            ],
        ),
        ("used by instances", sorted(network["inst_list"] or ())),
        ("tags", sorted(network["tags"] or ())),
    ]
