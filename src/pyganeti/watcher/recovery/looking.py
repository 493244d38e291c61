"""One look at the cluster: instances as they are now, their nodes, and the jobs under way.

All questions go at once, and what they answer is taken together: the look is for what is about to
be done right after it.

Failure: as `luxitasks` says; `errors.Damaged` if an answer is not what was asked for.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.clients import luxitasks
from pyganeti.model.recovery import policy as policies
from pyganeti.watcher.recovery import deciding, mentions

_INSTANCE: Final = (
    "name", "uuid", "status", "admin_state", "pnode", "pnode.group", "tags", "hv/user_shutdown",
)  # fmt: skip
_NODE: Final = ("name", "pip", "offline", "drained", "group", "tags")
_JOB: Final = ("id", "ops", "opstatus", "opresult", "opexec", "received_ts")
_PATIENCE: Final = 120.0
"""Seconds that a look may take: nodes that do not answer are waited for."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the configuration. ``at_once`` is how many starts at a time it bears."""

    name: str
    address: str
    offline: bool
    drained: bool
    group: str
    at_once: int

    @property
    def is_followed(self) -> bool:
        """Whether there is anything to be heard from it."""
        return not self.offline


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as it is now; ``jobs`` are those under way that are about it."""

    name: str
    node: str
    seen: deciding.Seen
    policy: policies.Policy
    jobs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class View:
    """What a look found: all nodes, and the instances that were asked about, by name."""

    nodes: Mapping[str, Node]
    instances: Mapping[str, Instance]


async def look(master: luxitasks.Client, names: Sequence[str] | None) -> View:
    """Look at instances, or at all; those that there are not are missing in the view."""
    condition = None if names is None else ["&", ["|", *(["=", "name", name] for name in names)]]
    try:
        async with asyncio.TaskGroup() as group:
            instances = group.create_task(
                master.query("instance", _INSTANCE, condition, patience=_PATIENCE)
            )
            nodes = group.create_task(master.query("node", _NODE))
            groups = group.create_task(master.query("group", ("name", "tags")))
            cluster = group.create_task(master.call("QueryClusterInfo"))
            jobs = group.create_task(pending(master))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    try:
        return _view(
            instances.result(), nodes.result(), groups.result(), cluster.result(), jobs.result()
        )
    except (KeyError, TypeError, ValueError) as error:
        raise errors.Damaged(f"the master daemon answers nonsense: {error!r}") from error


async def pending(master: luxitasks.Client) -> list[mentions.Job]:
    """Return the jobs that have not ended."""
    states = sorted(mentions.PENDING)
    condition = ["|", *(["=", "status", state] for state in states)]
    return _jobs(await master.query("job", _JOB, condition))


async def history(master: luxitasks.Client) -> list[mentions.Job]:
    """Return all jobs that are not archived."""
    return _jobs(await master.query("job", _JOB, patience=_PATIENCE))


def _jobs(rows: Sequence[Sequence[Any]]) -> list[mentions.Job]:
    found = []
    for number, opcodes, states, results, begun, received in rows:
        if opcodes is None or states is None or results is None:  # it went meanwhile
            continue
        moments = [_seconds(each) for each in begun or ()]
        found.append(
            mentions.Job(int(number), opcodes, states, results, _seconds(received), moments)
        )
    return found


def _seconds(moment: Sequence[int] | None) -> float:
    return 0.0 if moment is None else moment[0] + moment[1] / 1e6


def _view(
    instances: Sequence[Sequence[Any]],
    nodes: Sequence[Sequence[Any]],
    groups: Sequence[Sequence[Any]],
    cluster: Mapping[str, Any],
    jobs: Sequence[mentions.Job],
) -> View:
    cluster_tags = cluster.get("tags") or ()
    allows = bool(cluster.get("enabled_user_shutdown"))
    group_tags = {name: tags or () for name, tags in groups}
    found_nodes = {}
    for name, address, offline, drained, group, tags in nodes:
        at_once = policies.at_once(tags or (), group_tags.get(group, ()), cluster_tags)
        found_nodes[name] = Node(name, address, bool(offline), bool(drained), group, at_once)
    mentioned = mentions.of(jobs)
    found = {}
    for name, uuid, status, admin_state, node, group, tags, may_user in instances:
        if status is None or node is None:  # one that is yet to be created
            continue
        host = found_nodes.get(node)
        found[name] = Instance(
            name,
            node,
            deciding.Seen(
                status,
                admin_state,
                node_offline=host is not None and host.offline,
                node_drained=host is not None and host.drained,
            ),
            policies.of(
                tags or (),
                group_tags.get(group, ()),
                cluster_tags,
                may_user_shut_down=allows and may_user is True,
            ),
            tuple(mentioned.about(name, uuid, node, group or "")),
        )
    return View(found_nodes, found)
