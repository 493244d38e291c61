"""What an instance's nodes say about it: whether it runs, where, with how much; its console.

Why it last stopped is in `laststops`. Nodes are asked only what a question speaks of, and all
primary nodes of the instances asked about at once. An instance that its own node does
not know is looked for in the others' answers; where its node said nothing and no other has it,
nothing is known.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.queries import asking, cells, fields, laststops
from pyganeti.masterd.queries.cells import Cell, Kind
from pyganeti.model import instancestatus
from pyganeti.model.config import filling
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.instancestatus import Seen

_RUNNING: Final = 0
_KVM: Final = "kvm"
_SWITCH: Final = "user_shutdown"
_CONSOLE: Final = "console"
_OF_PROCESS: Final = frozenset({"status", "oper_state", "oper_ram", "oper_vcpus"})


class Process(msgspec.Struct, frozen=True):
    """What a node says about an instance that it knows."""

    memory: int
    vcpus: int
    state: int


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of one instance; ``process`` is None if no node that answered knows it.

    ``missing`` is the cell for everything that only its process could say.
    """

    seen: Seen
    process: Process | None
    missing: Cell


@dataclass(frozen=True, slots=True)
class Live:
    """What the nodes said, by the instances' uuids."""

    found: Mapping[str, Found]
    consoles: Mapping[str, Cell]
    last: laststops.Live


async def look(
    nodes: asking.Nodes, snapshot: Snapshot, rows: Sequence[Instance], asked: frozenset[str]
) -> Live:
    """Ask the nodes of some instances what they know of them."""
    async with asyncio.TaskGroup() as group:
        found = group.create_task(_processes(nodes, snapshot, rows, asked))
        consoles = group.create_task(_consoles(nodes, snapshot, rows, asked))
        last = group.create_task(_last(nodes, snapshot, rows, asked))
    return Live(found.result(), consoles.result(), last.result())


async def _last(
    nodes: asking.Nodes, snapshot: Snapshot, rows: Sequence[Instance], asked: frozenset[str]
) -> laststops.Live:
    return await laststops.look(nodes, snapshot, rows) if asked & laststops.NAMES else {}


async def _processes(
    nodes: asking.Nodes, snapshot: Snapshot, rows: Sequence[Instance], asked: frozenset[str]
) -> dict[str, Found]:
    if not asked & _OF_PROCESS:
        return {}
    primaries = _primaries(snapshot, rows)
    hypervisors = {row.hypervisor: None for row in rows if row.hypervisor}
    arguments = [
        list(hypervisors),
        {name: dict(snapshot.cluster.hvparams.get(name, {})) for name in hypervisors},
    ]
    said = await asking.each(nodes, primaries, "all_instances_info", arguments, dict[str, Process])
    anywhere: dict[str, Process] = {}
    for answer in said.values():
        anywhere.update(answer.what or {})
    return {row.uuid: _found(snapshot, row, said, anywhere) for row in rows}


def _primaries(snapshot: Snapshot, rows: Sequence[Instance]) -> list[Node]:
    uuids = dict.fromkeys(row.primary_node for row in rows)
    return [snapshot.nodes[uuid] for uuid in uuids if uuid in snapshot.nodes]


def _found(
    snapshot: Snapshot,
    row: Instance,
    said: Mapping[str, asking.Said[dict[str, Process]]],
    anywhere: Mapping[str, Process],
) -> Found:
    node = snapshot.nodes.get(row.primary_node)
    answer = said.get(row.primary_node, asking.Said())
    process = (answer.what or {}).get(row.name)
    elsewhere = anywhere.get(row.name) if process is None else None
    if node is not None and node.offline:
        return Found(Seen.NODE_OFFLINE, elsewhere, cells.OFFLINE)
    if process is not None:
        seen = Seen.RUNNING if process.state == _RUNNING else Seen.SHUTDOWN
        return Found(seen, process, cells.UNAVAILABLE)
    if elsewhere is not None:
        return Found(Seen.ELSEWHERE, elsewhere, cells.UNAVAILABLE)
    if answer.what is None and not row.forthcoming:
        return Found(Seen.NODE_DOWN, None, answer.missing)
    return Found(Seen.ABSENT, None, cells.UNAVAILABLE)


async def _consoles(
    nodes: asking.Nodes, snapshot: Snapshot, rows: Sequence[Instance], asked: frozenset[str]
) -> dict[str, Cell]:
    if _CONSOLE not in asked:
        return {}
    by_node: dict[str, list[Instance]] = {}
    for row in rows:
        by_node.setdefault(row.primary_node, []).append(row)

    def arguments(node: Node) -> list[object]:
        return [
            {row.name: rpcargs.console_request(snapshot, row, node) for row in by_node[node.uuid]}
        ]

    said = await asking.each(
        nodes,
        [node for node in _primaries(snapshot, rows) if node.group in snapshot.groups],
        "instance_console_info",
        arguments,
        dict[str, dict[str, Any]],
    )
    consoles: dict[str, Cell] = {}
    for row in rows:
        answer = said.get(row.primary_node, asking.Said())
        if answer.what is None:
            consoles[row.uuid] = answer.missing
        else:
            consoles[row.uuid] = cells.value_or(answer.what.get(row.name), cells.NO_DATA)
    return consoles


def _status(view: fields.View[Live]) -> fields.Getter[Instance]:
    snapshot, found = view.snapshot, view.live.found
    cluster_allows = snapshot.cluster.enabled_user_shutdown

    def getter(row: Instance) -> Cell:
        if row.primary_node not in snapshot.nodes and not row.forthcoming:
            return cells.NO_DATA
        seen = found[row.uuid].seen
        word = instancestatus.status(
            seen,
            row.admin_state,
            row.admin_state_source,
            cluster_allows=cluster_allows,
            instance_allows=seen is not Seen.SHUTDOWN or allows_user_shutdown(snapshot, row),
        )
        return cells.NORMAL, word

    return getter


def allows_user_shutdown(snapshot: Snapshot, instance: Instance) -> bool:
    """Say whether an instance's own switch lets its user shut it down from inside."""
    if instance.hypervisor != _KVM:
        return True
    return filling.hypervisor_of(snapshot.cluster, instance).get(_SWITCH) is True


def _oper_state(view: fields.View[Live]) -> fields.Getter[Instance]:
    found = view.live.found

    def getter(row: Instance) -> Cell:
        known = found[row.uuid]
        if known.process is not None:
            return cells.NORMAL, known.process.state == _RUNNING
        if known.seen is Seen.ABSENT:
            return cells.NORMAL, False
        return cells.NO_DATA

    return getter


def _of_process(
    value: Callable[[Process], int],
) -> Callable[[fields.View[Live]], fields.Getter[Instance]]:
    def bind(view: fields.View[Live]) -> fields.Getter[Instance]:
        found = view.live.found

        def getter(row: Instance) -> Cell:
            known = found[row.uuid]
            return known.missing if known.process is None else (cells.NORMAL, value(known.process))

        return getter

    return bind


def _console(view: fields.View[Live]) -> fields.Getter[Instance]:
    consoles = view.live.consoles
    return lambda row: consoles.get(row.uuid, cells.NO_DATA)


FIELDS: Final[list[fields.Field[Instance, Live]]] = [
    fields.live(
        "status",
        "Status",
        Kind.TEXT,
        "How it stands: running, ADMIN_down, USER_down and ADMIN_offline are in order; ERROR_up and"
        " ERROR_down are not what is wanted; ERROR_wrongnode runs where it should not;"
        " ERROR_nodedown and ERROR_nodeoffline cannot be known",
        _status,
    ),
    fields.live("oper_state", "Running", Kind.BOOL, "Whether it runs", _oper_state),
    fields.live(
        "oper_ram",
        "Memory",
        Kind.UNIT,
        "The memory that it has at present",
        _of_process(lambda process: process.memory),
    ),
    fields.live(
        "oper_vcpus",
        "VCPUs",
        Kind.NUMBER,
        "The virtual processors that it has at present",
        _of_process(lambda process: process.vcpus),
    ),
    fields.live(_CONSOLE, "Console", Kind.OTHER, "How one gets to its console", _console),
    *laststops.FIELDS,
]
