"""Making this node the master in place of another: what no master daemon can do.

The steps, each of which may be the last before a crash: the old master's daemons are stopped and it
gives the cluster's address up; the configuration here names the new master; every other node is
told; this node is told, and its daemons start, which has the votes of all counted once more. While
this node does not call itself the master the whole can be done again. An old master that could not
be reached is outvoted when it comes back.

Names and addresses come from this node's copy of the configuration, which candidates have.
"""

import asyncio
import collections
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pyganeti.base import daemons, errors, files, paths, services, ssconf
from pyganeti.clients import node as nodeclient
from pyganeti.model.config import datafile, entries
from pyganeti.model.config import ssconf as settings
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot

_NODED: Final = "ganeti-noded"
_MASTERD: Final = "ganeti-masterd"
_PATIENCE: Final = 10.0
_CONNECTING: Final = 3.0
"""Seconds: it is nodes that are gone for which this is done, and each is tried several times."""

_STOPPING: Final = 60.0
_STARTING: Final = 180.0
_ADDRESS_PATIENCE: Final = 30.0
_PAUSE: Final = 0.2

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Votes:
    """Who says which node is the master; None for who did not say."""

    said: Mapping[str, str | None]
    counted: collections.Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        votes = collections.Counter(name for name in self.said.values() if name)
        object.__setattr__(self, "counted", votes)

    @property
    def silent(self) -> list[str]:
        """The nodes that did not say."""
        return sorted(name for name, vote in self.said.items() if not vote)

    def check(self, old: str, new: str) -> None:
        """Raise BadInput unless most nodes answer, and name the old master.

        Those that name the new one were told when this was done before and cut off.
        """
        if 2 * self.counted.total() <= len(self.said):
            raise errors.BadInput(
                f"only {self.counted.total()} of {len(self.said)} nodes answer, so that a new"
                f" master would not be confirmed: no answer from {', '.join(self.silent)}; if you"
                " are sure that no other master runs, say --no-voting",
                "environment_error",
            )
        others = {name: count for name, count in self.counted.items() if name not in {old, new}}
        if others and max(others.values()) >= self.counted[old] + self.counted[new]:
            named = max(others, key=lambda name: others[name])
            raise errors.BadInput(
                f"this node believes that the master is {old}, and the others name {named}: its"
                " copy of the configuration is an old one",
                "wrong_state",
            )


def renamed(snapshot: Snapshot, node: Node, now: float) -> Snapshot:
    """Return the configuration with another master; the same if it names that one already."""
    cluster = snapshot.cluster
    if cluster.master_node == node.uuid:
        return snapshot
    changed = msgspec.structs.replace(
        cluster, master_node=node.uuid, serial_no=cluster.serial_no + 1, mtime=now
    )
    return msgspec.structs.replace(
        snapshot, cluster=changed, serial_no=snapshot.serial_no + 1, mtime=now
    )


def read(layout: paths.Paths) -> Snapshot:
    """Return this node's copy of the configuration; raises BadInput if it has none."""
    try:
        return entries.to_snapshot(datafile.parse(layout.config_data.read_bytes()))
    except FileNotFoundError as error:
        candidates = (ssconf.read(layout, "master_candidates") or "").split()
        raise errors.BadInput(
            "this node has no copy of the configuration: only a master candidate can become the"
            f" master, which are {', '.join(candidates)}",
            "wrong_state",
        ) from error
    except OSError as error:
        raise errors.Unavailable(f"{layout.config_data}: {error.strerror}") from error


def take_over(
    layout: paths.Paths, *, no_voting: bool, ignore_offline: bool, say: Tell, warn: Tell
) -> Node:
    """Make this node the master; return it.

    Raises BadInput if it cannot become that, or other Failures when it could not be.
    """
    old = (ssconf.read(layout, "master_node") or "").strip()
    snapshot = read(layout)
    own = snapshot.node(layout.hostname)
    if old == own.name:
        raise errors.BadInput(
            f"{own.name} is the master already; this is run on the node that is to become it"
        )
    if not own.master_candidate or own.offline:
        raise errors.BadInput(
            f"{own.name} is no master candidate; these are:"
            f" {', '.join(node.name for node in snapshot.candidates())}",
            "wrong_state",
        )
    if daemons.running(layout, _MASTERD) is not None:
        raise errors.BadInput("a master daemon runs here", "wrong_state")
    work = _Work(layout, snapshot, own, say, warn)
    asyncio.run(work.run(old, no_voting=no_voting, ignore_offline=ignore_offline))
    return own


class _Work:
    def __init__(
        self, layout: paths.Paths, snapshot: Snapshot, own: Node, say: Tell, warn: Tell
    ) -> None:
        self._layout = layout
        self._snapshot = snapshot
        self._own = own
        self._say = say
        self._warn = warn
        self._others = [
            node for node in snapshot.nodes.values() if node.uuid != own.uuid and not node.offline
        ]

    async def run(self, old: str, *, no_voting: bool, ignore_offline: bool) -> None:
        port = services.port(_NODED)
        context = nodeclient.context_of(self._layout)
        async with nodeclient.Caller(context, port=port, connect_patience=_CONNECTING) as caller:
            if not no_voting:
                votes = await self._votes(caller, old, ignore_offline=ignore_offline)
                votes.check(old, self._own.name)
            await self._stop(caller, old)
            changed = await asyncio.to_thread(self._write)
            await self._tell(caller, settings.make(changed))
            if not await self._address(is_there=False):
                self._warn(
                    f"{changed.cluster.master_ip} still answers after {_ADDRESS_PATIENCE:.0f} s;"
                    " this node may not get it"
                )
            self._say("starting the master's daemons here")
            await caller.call(
                self._own.primary_ip,
                "node_start_master_daemons",
                [no_voting],
                timeout=_STARTING,
            )
            if not await self._address(is_there=True):
                self._warn(
                    f"the cluster works, but {changed.cluster.master_ip} does not answer after"
                    f" {_ADDRESS_PATIENCE:.0f} s; gnt-cluster activate-master-ip tries it again"
                )

    async def _votes(self, caller: nodeclient.Caller, old: str, *, ignore_offline: bool) -> Votes:
        answers = await self._ask(caller, self._others, "master_node_name")
        said = {
            name: answer if isinstance(answer, str) else None for name, answer in answers.items()
        }
        if not ignore_offline:
            offline = (node.name for node in self._snapshot.nodes.values() if node.offline)
            said |= dict.fromkeys(offline)
        return Votes({**said, self._own.name: old})

    async def _stop(self, caller: nodeclient.Caller, old: str) -> None:
        """Have the old master end; it may be gone, and that is what this is for."""
        found = [node for node in self._snapshot.nodes.values() if node.name == old]
        if not found or found[0].offline:
            return
        [master] = found
        self._say(f"stopping the master's daemons on {old}")
        cluster = self._snapshot.cluster
        address = {
            "uuid": master.uuid,
            "ip": cluster.master_ip,
            "netmask": cluster.master_netmask,
            "netdev": cluster.master_netdev,
            "ip_family": cluster.primary_ip_family,
        }
        for words, call, arguments in (
            ("end its master daemon", "node_stop_master", ()),
            (
                "give the cluster's address up",
                "node_deactivate_master_ip",
                (address, cluster.use_external_mip_script),
            ),
        ):
            try:
                await caller.call(master.primary_ip, call, arguments, timeout=_STOPPING)
            except errors.Failure as error:
                self._warn(f"{old} could not be made to {words}: {error}")
                if isinstance(error, errors.Unavailable):
                    return

    def _write(self) -> Snapshot:
        """Put the configuration that names this node into its file, durably, and return it."""
        path = self._layout.config_data
        try:
            # What the old master has sent while it ended counts.
            newest = renamed(read(self._layout), self._own, time.time())
            found = path.stat()
            data = datafile.Pieces(entries.from_snapshot(newest)).render()
            files.write_durably(path, data, found.st_mode & 0o7777, (found.st_uid, found.st_gid))
        except OSError as error:
            raise errors.Unavailable(f"{path} cannot be written: {error.strerror}") from error
        return newest

    async def _tell(self, caller: nodeclient.Caller, values: settings.Values) -> None:
        """Tell the other nodes, and this one when all that answer know."""
        self._say(f"telling the nodes that {self._own.name} is the master")
        answers = await self._ask(caller, self._others, "write_ssconf_files", (values,))
        for name, answer in sorted(answers.items()):
            if isinstance(answer, errors.Failure):
                self._warn(f"{name} was not told: {answer}")
        await caller.call(self._own.primary_ip, "write_ssconf_files", (values,), timeout=_STOPPING)

    async def _ask(
        self,
        caller: nodeclient.Caller,
        nodes: Collection[Node],
        call: str,
        arguments: Sequence[object] = (),
    ) -> dict[str, Any]:
        answers = await caller.call_each(
            [node.primary_ip for node in nodes], call, arguments, timeout=_PATIENCE
        )
        return {node.name: answers[node.primary_ip] for node in nodes}

    async def _address(self, *, is_there: bool) -> bool:
        """Wait for the cluster's address to answer, or not to; return whether it does as wanted."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _ADDRESS_PATIENCE
        while await _answers(self._snapshot.cluster.master_ip) != is_there:
            if loop.time() > deadline:
                return False
            await asyncio.sleep(_PAUSE)
        return True


async def _answers(address: str) -> bool:
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(address, services.port(_NODED))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
