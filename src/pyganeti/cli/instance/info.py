"""The sub-command ``gnt-instance info``."""

import time
from collections.abc import Mapping
from typing import Any, Final

import click

from pyganeti.base import errors
from pyganeti.cli import completing, details, following, options, recoverypolicy, session, tables
from pyganeti.cli.instance import choosing, laststop
from pyganeti.model.opcodes import instance
from pyganeti.model.recovery.policy import Policy

_TAGS: Final = ("name", "tags")
_VNC_BASE: Final = 5900
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - compared with, not listened on


@click.command()
@click.argument("names", nargs=-1, shell_complete=completing.instances)
@click.option("--all", "show_all", is_flag=True, help="All instances of the cluster.")
@click.option("-s", "--static", is_flag=True, help="Only what the configuration has: ask no node.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object an instance.")
@click.pass_obj
def command(
    current: session.Session,
    *,
    names: tuple[str, ...],
    show_all: bool,
    static: bool,
    as_json: bool,
) -> None:
    """Tell everything about instances: parameters, cards, disks, and how they are."""
    if bool(names) == show_all:
        raise errors.BadInput("name instances, or say --all, which asks all nodes")
    op = instance.InstanceQueryData(
        instances=choosing.known(current, names) if names else [],
        static=static,
        use_locking=not static,
    )
    results = following.run(current, [op], options.How(as_json=True))
    found: Mapping[str, dict[str, Any]] = results[0] if results else {}
    tags = dict(current.client.query_instances([one["name"] for one in found.values()], _TAGS))
    above = recoverypolicy.above(current)
    stops = {} if static else laststop.ask(current, [one["name"] for one in found.values()])
    now = time.time()
    for place, told in enumerate(found.values()):
        policy = above.of(
            tags.get(told["name"], ()),
            told["pnode_group_name"],
            user_shutdown=bool(told["hv_actual"].get("user_shutdown")),
        )
        stop = stops.get(told["name"])
        if as_json:
            more: dict[str, Any] = {"recovery": recoverypolicy.plain(policy)}
            if stop is not None:
                more["last_stop"] = laststop.plain(stop)
            current.out_json({**told, **more})
            continue
        if place:
            current.out()
        last = None if stop is None else laststop.told(stop, now)
        for line in details.lines(_about(told, policy, last)):
            current.out(line)


def _about(one: dict[str, Any], policy: Policy, last: str | None) -> details.Pairs:
    state = f"configured to be {one['config_state']}"
    if one["run_state"]:
        state += f", actual state is {one['run_state']}"
    told: list[tuple[str, Any]] = [
        ("Instance name", one["name"]),
        ("UUID", one["uuid"]),
        ("Serial number", one["serial_no"]),
        ("Creation time", tables.moment([one["ctime"], 0])),
        ("Modification time", tables.moment([one["mtime"], 0])),
        ("State", state),
        *([("Last stop", last)] if last is not None else []),
        ("Nodes", _nodes(one)),
        ("Operating system", one["os"]),
        ("Operating system parameters", _params(one["os_instance"], one["os_actual"])),
        ("Allocated network port", one["network_port"]),
        ("Hypervisor", one["hypervisor"]),
    ]
    if where := _display(one):
        told.append(("console connection", where))
    backend = {**one["be_actual"], "memory": one["be_actual"]["maxmem"]}
    return [
        *told,
        ("Hypervisor parameters", _params(one["hv_instance"], one["hv_actual"])),
        ("Back-end parameters", _params(one["be_instance"], backend)),
        ("NICs", [_card(index, card) for index, card in enumerate(one["nics"])]),
        ("Disk template", one["disk_template"]),
        ("Disks", [_disk(f"disk {index}", disk) for index, disk in enumerate(one["disks"])]),
        (recoverypolicy.TITLE, recoverypolicy.told_of_instance(policy)),
    ]


def _nodes(one: dict[str, Any]) -> list[details.Pairs]:
    secondaries = ", ".join(
        f"{name} (group {group}, group UUID {uuid})"
        for name, group, uuid in zip(
            one["snodes"], one["snodes_group_names"], one["snodes_group_uuids"], strict=True
        )
    )
    group = f"{one['pnode_group_name']} (UUID {one['pnode_group_uuid']})"
    return [
        [("primary", one["pnode"]), ("group", group)],
        [("secondaries", secondaries)],
    ]


def _params(own: Mapping[str, Any], actual: Mapping[str, Any]) -> details.Pairs:
    return [
        (name, str(value) if name in own else f"default ({value})")
        for name, value in sorted(actual.items())
    ]


def _display(one: dict[str, Any]) -> str | None:
    """Return where a VNC client finds the instance's display, None if it has none."""
    address, port = one["hv_actual"].get("vnc_bind_address"), one["network_port"]
    if not address:
        return None
    display = (port or 0) - _VNC_BASE
    if address.startswith("/") or display <= 0:
        return f"vnc to {one['pnode']}:{address}"
    if address == _EVERYWHERE:
        return f"vnc to {one['pnode']}:{port} (display {display})"
    return f"vnc to {address}:{port} (node {one['pnode']}) (display {display})"


def _card(index: int, card: list[Any]) -> details.Pairs:
    name, uuid, ip, mac, mode, link, vlan, _, network = card
    return [
        (f"nic/{index}", ""),
        ("MAC", mac),
        ("IP", ip),
        ("mode", mode),
        ("link", link),
        ("vlan", vlan),
        ("network", network["name"] if network else None),
        ("UUID", uuid),
        ("name", name),
    ]


def _disk(title: str, disk: dict[str, Any], *, is_child: bool = False) -> details.Pairs:
    told: list[tuple[str, Any]] = [
        (
            title if is_child else disk["iv_name"] or title,
            f"{disk['dev_type']}, size {tables.size(disk['size'], 'h')}",
        )
    ]
    if not is_child:
        if disk["spindles"] is not None:
            told.append(("spindles", disk["spindles"]))
        told.append(("access mode", disk["mode"]))
    if mirror := disk["drbd_info"]:
        told += [
            ("nodeA", f"{mirror['primary_node']}, minor={mirror['primary_minor']}"),
            ("nodeB", f"{mirror['secondary_node']}, minor={mirror['secondary_minor']}"),
            ("port", mirror["port"]),
        ]
    else:
        told.append(("logical_id", "/".join(str(part) for part in disk["logical_id"])))
    for place in ("pstatus", "sstatus"):
        if disk[place]:
            where = "on primary" if place == "pstatus" else "on secondary"
            told.append((where, _status(disk["dev_type"], disk[place])))
    told += [("name", disk["name"]), ("UUID", disk["uuid"])]
    if disk["children"]:
        children = [
            _disk(f"child {index}", child, is_child=True)
            for index, child in enumerate(disk["children"])
        ]
        told.append(("child devices", children))
    return told


def _status(kind: str, status: list[Any]) -> str:
    path, major, minor, percent, left, is_degraded, local = status
    shown = ["N/A" if number is None else str(number) for number in (major, minor)]
    words = f"{path} ({':'.join(shown)})"
    if kind == "drbd":
        syncing = "in sync"
        if percent is not None:
            syncing = f"*RECOVERING* {percent:5.2f}%, ETA {f'{left}s' if left else 'unknown'}"
        words += f" {syncing}, status {'*DEGRADED*' if is_degraded else 'ok'}"
    return words + _LOCAL.get(local, "")


_LOCAL: Final = {3: " *UNCERTAIN STATE*", 4: " *FAILED*"}
"""What Ganeti's numbers for the state of local data mean, where they mean trouble."""
