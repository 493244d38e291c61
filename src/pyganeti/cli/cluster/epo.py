"""The sub-command ``gnt-cluster epo``: emergency power off, and on again.

Off: the instances are shut down, not remembered as such, then the nodes are powered off by the
site's out-of-band program. On: the nodes are powered on, waited for, and the instances that are
wanted to run are started again.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from pyganeti.base import errors
from pyganeti.cli import asking, completing, following, options, params, session, tables
from pyganeti.cli.node import outofband
from pyganeti.model.opcodes import instance

_FIELDS: Final = ["name", "master", "powered", "offline", "pinst_list"]
Settings = Mapping[str, Any]
"""Of the opcode that switches: ``timeout`` and ``power_delay``."""

_REACHABLE: Final = 900.0
"""Seconds that nodes have to come up."""

_LOOK: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Node:
    name: str
    is_master: bool
    powered: bool | None
    """Whether its power is on; None: nobody can switch it from here."""

    offline: bool
    instances: tuple[str, ...]


@click.command()
@click.argument("words", metavar="NODE...", nargs=-1, shell_complete=completing.nodes)
@click.option("--on", "on", is_flag=True, help="Power on again instead of off.")
@click.option("--groups", is_flag=True, help="The words are node groups: all of their nodes.")
@click.option("--all", "everything", is_flag=True, help="All nodes, the master too, which is last.")
@options.force
@click.option("--oob-timeout", type=click.IntRange(1), default=60, show_default=True,
              metavar="SECONDS", help="How long the program may take for a node.")  # fmt: skip
@click.option("--shutdown-timeout", type=params.TIME, default="120", show_default=True,
              help="How long instances have to power down before they are ended.")  # fmt: skip
@click.option("--power-delay", type=click.FloatRange(0), default=2.0, show_default=True,
              metavar="SECONDS", help="How long to wait after each that goes on.")  # fmt: skip
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    words: tuple[str, ...],
    on: bool,
    groups: bool,
    everything: bool,
    force: bool,
    oob_timeout: int,
    shutdown_timeout: int,
    power_delay: float,
) -> int:
    """Shut instances down and power their nodes off, in an emergency; or on again.

    Instances that ran are started again by --on.
    """
    if everything and (words or groups):
        raise errors.BadInput("--all takes no names")
    if not words and not everything:
        raise errors.BadInput("name the nodes, or say --all")
    nodes = _meant(current, words, groups=groups)
    if not on and not everything:
        for node in nodes:
            if node.is_master:
                raise errors.BadInput(
                    f"{node.name} is the master: make another node that first (gnt-cluster"
                    " master-failover), or say --all for the whole cluster"
                )
    names = ", ".join(node.name for node in nodes)
    question = f"Power {'on' if on else 'off'} {names}, and {'start' if on else 'shut down'} what"
    asking.confirm(current, f"{question} {'should run' if on else 'runs'} there?", force=force)
    settings = {"timeout": oob_timeout, "power_delay": power_delay}
    if on:
        return _switch_on(current, nodes, settings)
    return _switch_off(current, nodes, shutdown_timeout, settings)


def _meant(current: session.Session, words: Sequence[str], *, groups: bool) -> list[_Node]:
    """Return the nodes that are meant; raises BadInput for a name that is none."""
    if groups:
        rows = current.client.query_groups(words, ["name", "node_list"])
        if len(rows) < len(set(words)):
            raise errors.BadInput(f"not all of these are node groups: {', '.join(words)}")
        words = [name for _, found in rows for name in found]
        if not words:
            raise errors.BadInput("there are no nodes in these groups")
    rows = current.client.query_nodes(words, _FIELDS)
    if words and len(rows) < len(set(words)):
        raise errors.BadInput(f"not all of these are nodes: {', '.join(words)}")
    found = [
        _Node(name, bool(is_master), powered, bool(offline), tuple(instances or ()))
        for name, is_master, powered, offline, instances in rows
    ]
    return sorted(found, key=lambda node: (node.is_master, node.name))


def _switch_off(
    current: session.Session, nodes: Sequence[_Node], shutdown_timeout: int, settings: Settings
) -> int:
    running = _wanted_up(current, nodes)
    if running:
        current.out(f"Shutting down {', '.join(running)}")
        jobs = [
            following.Work(
                name,
                [
                    instance.InstanceShutdown(
                        instance_name=name, timeout=shutdown_timeout, no_remember=True
                    )
                ],
            )
            for name in running
        ]
        if following.run_many(current, jobs, options.How()):
            raise errors.Failure("not all instances are down; no node was powered off")
    return _power(current, "power-off", [node for node in nodes if _may(current, node)], settings)


def _switch_on(current: session.Session, nodes: Sequence[_Node], settings: Settings) -> int:
    others = [node for node in nodes if not node.is_master]
    off = [node for node in others if node.powered is False]
    failed = _power(current, "power-on", off, settings)
    missing = _wait(current, [node.name for node in others])
    if missing:
        failed = 1
        current.tell(f"{current.program}: these nodes do not answer: {', '.join(missing)}")
    up = [node for node in nodes if node.name not in missing]
    names = _wanted_up(current, up)
    if names:
        current.out(f"Starting {', '.join(names)}")
        jobs = [
            following.Work(name, [instance.InstanceStartup(instance_name=name)]) for name in names
        ]
        failed |= bool(following.run_many(current, jobs, options.How()))
    return int(failed)


def _may(current: session.Session, node: _Node) -> bool:
    """Tell whether a node can be powered off from here; say so if it cannot."""
    if node.powered is None:
        current.out(f"{node.name} has no out-of-band program: power it off by hand")
    elif not node.powered:
        current.out(f"{node.name} is off already")
    return bool(node.powered)


def _power(
    current: session.Session, action: str, nodes: Sequence[_Node], settings: Settings
) -> int:
    """Have nodes powered; return 1 if one was not, each said."""
    if not nodes:
        return 0
    op = outofband.opcode(action, [node.name for node in nodes], ignore_status=True, **settings)
    results = following.run(current, [op], options.How())
    failed = 0
    for (_, name), (status, _) in results[0] if results else ():
        if status != tables.NORMAL:
            failed = 1
            current.tell(f"{current.program}: {name}: {action} failed; look after it by hand")
    return failed


def _wanted_up(current: session.Session, nodes: Sequence[_Node]) -> list[str]:
    """Return the instances on nodes that are wanted to run, in order."""
    names = sorted(name for node in nodes if not node.offline for name in node.instances)
    if not names:
        return []
    rows = current.client.query_instances(names, ["name", "admin_state"])
    return [name for name, state in rows if state == "up"]


def _wait(current: session.Session, names: Sequence[str]) -> list[str]:
    """Wait until nodes answer; return those that do not in time."""
    if not names:
        return []
    current.out("Waiting until all nodes are available")
    ends = time.monotonic() + _REACHABLE
    wanted = ["|", *(["==", "name", name] for name in names)]
    while True:
        rows = current.client.query("node", ["name", "offline", "bootid"], wanted)["data"]
        silent = [
            name[1] for name, offline, boot in rows if not offline[1] and boot[0] != tables.NORMAL
        ]
        if not silent or time.monotonic() > ends:
            return silent
        time.sleep(_LOOK)
