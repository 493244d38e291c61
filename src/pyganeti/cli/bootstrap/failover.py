"""Making this node the master in place of another: what no master daemon can do.

The steps, each of which may be the last before a crash:

1. the nodes say who the master is, and most of them have to name the old one;
2. most of them promise to follow this node, by a new epoch: from here on the old master can change
   nothing on them, and of two who do this at once the one who is not promised enough ends here;
3. the old master's daemons are stopped, and it gives the cluster's address up;
4. the newest copies of configuration and queue are fetched from whoever has them;
5. the configuration here names the new master; every other node is told; this node is told;
6. the daemons start, which has the votes of all counted once more, and takes an epoch of their own.

The whole can be done again after each of them, also when this node calls itself the master already
and no master daemon runs. An old master that could not be reached is kept out when it comes back,
and told.

Names and addresses come from this node's copy of the configuration, which candidates have, and then
from the newest.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from pyganeti.base import daemons, errors, filelock, files, paths, services, ssconf
from pyganeti.cli.bootstrap import asking, electing, fetching
from pyganeti.clients import claiming, configlabel, promises
from pyganeti.clients import node as nodeclient
from pyganeti.model.config import datafile, entries
from pyganeti.model.config import ssconf as settings
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import epochs, standings, storefile

_NODED: Final = "ganeti-noded"
_MASTERD: Final = "ganeti-masterd"
_CONNECTING: Final = 3.0
"""Seconds: it is nodes that are gone for which this is done, and each is tried several times."""

_STARTING: Final = 180.0
_LEAVING: Final = 30.0
"""Seconds for the cluster's address to leave the old master."""

_LEAVING_UNTOLD: Final = 2.0
"""The same, of one that could not be told to give it up, or that ended before."""

_COMING: Final = 10.0
"""Seconds for it to be heard of here: the daemons have tried to take it when they have started."""

_MODE: Final = 0o640
_LOCK: Final = "var/lock/ganeti-failover.lock"
_LOCK_PATIENCE: Final = 0.5

Tell = Callable[[str], None]


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
    if daemons.running(layout, _MASTERD) is not None:
        if old == own.name:
            raise errors.BadInput(
                f"{own.name} is the master already; this is run on the node that is to become it"
            )
        raise errors.BadInput("a master daemon runs here", "wrong_state")
    _check(snapshot, own)
    work = _Work(layout, snapshot, own, say, warn)
    asyncio.run(work.run(old, no_voting=no_voting, ignore_offline=ignore_offline))
    return own


def _check(snapshot: Snapshot, own: Node) -> None:
    if not own.master_candidate or own.offline:
        raise errors.BadInput(
            f"{own.name} is no master candidate; these are:"
            f" {', '.join(node.name for node in snapshot.candidates())}",
            "wrong_state",
        )


class _Work:
    def __init__(
        self, layout: paths.Paths, snapshot: Snapshot, own: Node, say: Tell, warn: Tell
    ) -> None:
        self._layout = layout
        self._snapshot = snapshot
        self._own = own
        self._say = say
        self._warn = warn
        self._epoch: epochs.Epoch | None = None
        self._claimants: set[str] = set()

    async def run(self, old: str, *, no_voting: bool, ignore_offline: bool) -> None:
        port = services.port(_NODED)
        context = nodeclient.context_of(self._layout)
        async with (
            self._alone(),
            nodeclient.Caller(
                context, port=port, connect_patience=_CONNECTING, epoch=lambda: self._epoch
            ) as caller,
        ):
            self._asking = asking.Asking(caller)
            try:
                await self._replace(old, no_voting=no_voting, ignore_offline=ignore_offline)
            except nodeclient.Deposed as error:
                if error.known.master != self._own.name:
                    raise errors.Unavailable(f"another became the master: {error}") from error
                self._say("the master's daemons run here: what was cut off before got that far")
            address = self._snapshot.cluster.master_ip
            if not await asking.until_answers(address, is_there=True, patience=_COMING):
                self._warn(
                    f"the cluster works, but {address} does not answer; it is tried again and again"
                )

    async def _replace(self, old: str, *, no_voting: bool, ignore_offline: bool) -> None:
        """Do everything; raises Deposed when somebody took a later epoch meanwhile."""
        await self._refuse_in_etcd()
        await self._be_followed(old, no_voting=no_voting, ignore_offline=ignore_offline)
        was_told = old != self._own.name and await self._stop(old)
        changed = await self._catch_up(no_voting=no_voting, ignore_offline=ignore_offline)
        await self._tell(settings.make(changed))
        address = changed.cluster.master_ip
        patience = _LEAVING if was_told else _LEAVING_UNTOLD
        if not await asking.until_answers(address, is_there=False, patience=patience):
            self._warn(
                f"{address} still answers after {patience:.0f} s; this"
                " node gets it as soon as it is free"
            )
        self._say("starting the master's daemons here")
        await self._asking(
            self._own.primary_ip, "node_start_master_daemons", no_voting, timeout=_STARTING
        )

    async def _refuse_in_etcd(self) -> None:
        """Raise BadInput if another candidate keeps the cluster in etcd: this node missed that."""
        others = [node for node in self._others if node.master_candidate]
        answers = await self._asking.each(others, "get_file_info", (storefile.PATH,))
        for name, answer in answers.items():
            match answer:
                case [True, *_]:
                    raise errors.BadInput(
                        f"{name} keeps the cluster in etcd, and this node does not know of it:"
                        f" copy {storefile.PATH} from there, then start ganeti-masterd",
                        "wrong_state",
                    )

    def _alone(self) -> Any:  # noqa: ANN401 - a context manager
        return filelock.exclusive(self._layout.root / _LOCK, _LOCK_PATIENCE)

    # Who is to be followed.

    async def _be_followed(self, old: str, *, no_voting: bool, ignore_offline: bool) -> None:
        """Have most nodes promise to follow this one, if most have named the old master."""
        known, votes = await asyncio.gather(
            self._known(), self._votes(old, ignore_offline=ignore_offline)
        )
        if not no_voting:
            votes.check(old, self._own.name)
        self._say(f"asking the nodes to follow {self._own.name}")
        self._claimants = {old, self._own.name}
        await self._claim(known, no_voting=no_voting, ignore_offline=ignore_offline)

    async def _known(self) -> int:
        """Return the highest epoch that is known anywhere: what is above it is a rival's."""
        found = await self._standings([*self._others, self._own])
        own = await asyncio.to_thread(promises.read, self._layout.epoch_file)
        numbers = [standing.epoch for standing in found.values()]
        return max([*numbers, 0 if own.known is None else own.known.number])

    async def _votes(self, old: str, *, ignore_offline: bool) -> electing.Votes:
        answers = await self._asking.each(self._others, "master_node_name")
        said = {
            name: answer if isinstance(answer, str) else None for name, answer in answers.items()
        }
        if not ignore_offline:
            offline = (node.name for node in self._snapshot.nodes.values() if node.offline)
            said |= dict.fromkeys(offline)
        return electing.Votes({**said, self._own.name: old})

    async def _claim(self, above: int, *, no_voting: bool, ignore_offline: bool) -> None:
        """Take an epoch; a later one than was known is outdone only if it is the old master's."""
        taking = claiming.Claiming(
            self._layout,
            self._asking,
            may_outdo=lambda epoch: epoch.master in self._claimants,
        )
        voters = [
            node for node in self._snapshot.nodes.values() if not (ignore_offline and node.offline)
        ]
        try:
            self._epoch = await taking.claim(voters, needs_most=not no_voting, above=above)
        except claiming.NotPromised as error:
            raise errors.Unavailable(
                f"this node does not become the master: {error}; nothing was changed, and it can be"
                " tried again"
            ) from error

    # What it begins with.

    async def _catch_up(self, *, no_voting: bool, ignore_offline: bool) -> Snapshot:
        """Have the newest configuration and a good queue here; return what was written."""
        found = await self._standings(self._candidates)
        data = await asyncio.to_thread(self._layout.config_data.read_bytes)
        best = electing.newest_config(self._own.uuid, found)
        if best != self._own.uuid:
            source = self._snapshot.nodes[best]
            self._say(f"fetching the configuration of {source.name}, which is newer")
            data, _ = await fetching.config(self._asking, source.primary_ip)
        newest = await asyncio.to_thread(lambda: entries.to_snapshot(datafile.parse(data)))
        _check(newest, newest.node(self._own.name))
        if newest.nodes.keys() - self._snapshot.nodes.keys():
            # There are nodes that this one did not know of: they have a say, too.
            self._snapshot = newest
            above = 0 if self._epoch is None else self._epoch.number
            await self._claim(above, no_voting=no_voting, ignore_offline=ignore_offline)
            found = await self._standings(self._candidates)
        self._snapshot = newest
        good = electing.good_queue(self._own.uuid, found)
        if good != self._own.uuid:
            source = newest.nodes[good]
            self._say(f"fetching the jobs of {source.name}: this node has missed some")
            listed = electing.newest_list(found)
            if listed is not None:
                names = tuple(sorted({*listed.names, self._own.uuid}))
                listed = msgspec.structs.replace(listed, names=names)
            own = self._own.primary_ip
            await fetching.queue(self._asking, source.primary_ip, own, listed, self._say)
        changed = renamed(newest, newest.node(self._own.name), time.time())
        await asyncio.to_thread(self._write, changed)
        return changed

    async def _standings(self, nodes: Collection[Node]) -> dict[str, standings.Standing]:
        """Return how those of the nodes stand that say so, by uuid."""
        # One of Ganeti's breaks off when it is asked that, and is there all the same.
        answers = await self._asking.each(nodes, "master_standing", may_break_off=True)
        found: dict[str, standings.Standing] = {}
        for node in nodes:
            answer = answers[node.name]
            if not isinstance(answer, errors.Failure):
                found[node.uuid] = standings.decode(answer)
        return found

    def _write(self, changed: Snapshot) -> None:
        """Put the configuration that names this node into its file, durably."""
        path = self._layout.config_data
        data = datafile.Pieces(entries.from_snapshot(changed)).render()
        try:
            found = path.stat()
            mode, owner = found.st_mode & 0o7777, (found.st_uid, found.st_gid)
            configlabel.replacing(
                self._layout,
                data,
                0 if self._epoch is None else self._epoch.number,
                lambda: files.write_durably(path, data, mode, owner),
            )
        except OSError as error:
            raise errors.Unavailable(f"{path} cannot be written: {error.strerror}") from error

    # What the others are told.

    async def _stop(self, old: str) -> bool:
        """Have the old master end, if it is not gone, which is what this is for; tell whether."""
        found = [node for node in self._snapshot.nodes.values() if node.name == old]
        if not found or found[0].offline:
            return False
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
        [answer] = (await self._asking.each([master], "version")).values()
        if isinstance(answer, errors.Failure):
            self._warn(f"{old} could not be told: {answer}")
            return False
        for words, call, arguments in (
            ("end its master daemon", "node_stop_master", ()),
            (
                "give the cluster's address up",
                "node_deactivate_master_ip",
                (address, cluster.use_external_mip_script),
            ),
        ):
            try:
                await self._asking(master.primary_ip, call, *arguments)
            except errors.Failure as error:
                self._warn(f"{old} could not be made to {words}: {error}")
        return True

    async def _tell(self, values: settings.Values) -> None:
        """Tell the other nodes, and this one when all that answer know."""
        self._say(f"telling the nodes that {self._own.name} is the master")
        answers = await self._asking.each(self._others, "write_ssconf_files", (values,))
        for name, answer in sorted(answers.items()):
            if isinstance(answer, nodeclient.Deposed):
                raise answer
            if isinstance(answer, errors.Failure):
                self._warn(f"{name} was not told: {answer}")
        await self._asking(self._own.primary_ip, "write_ssconf_files", values)

    @property
    def _candidates(self) -> list[Node]:
        return [node for node in self._snapshot.candidates() if not node.offline]

    @property
    def _others(self) -> list[Node]:
        nodes = self._snapshot.nodes.values()
        return [node for node in nodes if node.uuid != self._own.uuid and not node.offline]
