"""What a leader leads with whose cluster is kept in etcd, from having won to giving the place up.

First of all every node that answers promises to obey no earlier leader; what an earlier one began
there has then ended, and it has given the cluster's address up. Then the configuration names this
node as the master, which the nodes are told like any change. A node that did not answer learns of
this leader by its first call.

In failure: a node that follows a later leader than etcd knows of (etcd was set back, say) has the
epoch in etcd raised to that, and the place given up: whoever is next has a number that all follow.
But if that leader keeps the cluster in files, etcd was given up, and came back: then it is left
behind in it that the cluster has gone, and nobody leads by it any more.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from pyganeti.base import errors, log, paths
from pyganeti.clients import node as nodeclient
from pyganeti.clients.etcd import client, messages
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.backing import backing
from pyganeti.masterd.backing.etcd import (
    copies,
    fence,
    keys,
    marks,
    presence,
    shelf,
    standbys,
    store,
)
from pyganeti.masterd.config import draft, rpcargs, state
from pyganeti.masterd.election import leadership, leased
from pyganeti.masterd.jobs import candidates, queue
from pyganeti.model.config.node import Node
from pyganeti.wire import epochs, standings

_LOG = log.get(__name__)

_PROMISE: Final = 2.5
"""Seconds that a node has for its promise: it may be the one that is gone."""

_GIVING_UP: Final = 3.0
_BOUNDS: Final = queue.Bounds(end_patience=1.0)
"""What runs has less time to end than on a single master: another is there to go on."""


class Tenure:
    """One leadership's."""

    def __init__(
        self, layout: paths.Paths, etcd: client.Client, where: keys.Keys, leading: leased.Leased
    ) -> None:
        self._layout = layout
        self._etcd = etcd
        self._keys = where
        self._leading = leading
        self._fence = fence.Fence(where.leader, leading.revision, leading.check, leading.lose)
        self._later: epochs.Epoch | None = None
        self._running: set[str] = set()
        self.store: Final = store.EtcdStore(etcd, where, self._fence, lost=leading.lost)
        self.epoch: Final[epochs.Epoch | None] = epochs.of(leading.epoch, leading.record.name)

    def deposed(self, by: nodeclient.Deposed) -> None:
        """Lead no more: a node follows a later leader."""
        if self.epoch is None or by.known > self.epoch:
            self._later = by.known if self._later is None else max(self._later, by.known)
            self._leading.lose(f"a node follows {by.known.master} with the epoch {by.known.number}")

    @contextlib.asynccontextmanager
    async def confirmed(
        self, config: state.Config, nodes: calling.Nodes
    ) -> AsyncIterator[leadership.Leadership]:
        """Give the leadership once the nodes have promised; raises a Failure if they do not."""
        own = _own(config, self._leading.record.name)
        config.permitted = self._leading.check
        await self._have_promised(config, nodes)
        if config.current.cluster.master_node != own.uuid:
            await config.change(lambda edit: _rename(edit, own))
        try:
            async with (
                standbys.kept(self._layout, config, nodes),
                presence.seen(self._etcd, self._keys, self._running),
            ):
                yield self._leading
        finally:
            await self._give_up_address(config, own, nodes)

    def details(self) -> dict[str, Any]:
        """Return where it is kept, how long the lease lasts, and who stands by."""
        return {
            "store": "etcd",
            "endpoints": [str(endpoint) for endpoint in self._etcd.access.endpoints],
            "prefix": str(self._keys),
            "lease_seconds": self._leading.lease.seconds,
            "lease_left": round(self._leading.lease.left, 3),
            "standbys": sorted(self._running - {self._leading.record.name}),
        }

    def queue(
        self, config: state.Config, nodes: calling.Nodes, carrying: backing.Carrying
    ) -> queue.Queue:
        """Return the queue in etcd; what is archived goes into files, here and on the others."""
        kept = shelf.EtcdShelf(self._etcd, self._keys, self._fence, self._layout.queue_dir)
        own = config.current.cluster.master_node
        others = candidates.Configured(nodes, lambda: config.current, own)
        return queue.Queue(
            kept,
            carrying.carrier,
            livelock_dir=self._layout.livelock_dir,
            copies=copies.ArchiveCopies(kept.archived, others),
            limit=carrying.limit,
            rules=carrying.rules,
            reprioritized=carrying.reprioritized,
            right=self._leading,
            bounds=_BOUNDS,
        )

    async def _have_promised(self, config: state.Config, nodes: calling.Nodes) -> None:
        leading = self._leading
        answers = await nodes.each(
            config.current.nodes.values(),
            "master_promise",
            [leading.epoch, leading.record.name],
            timeout=_PROMISE,
        )
        if self._later is not None:
            await self._refuse_files(config, nodes, self._later)
            await self._raise_epoch(self._later.number)
            raise leadership.NotLeading(
                f"a node follows an epoch {self._later.number}, and etcd gave {leading.epoch}: the"
                " next one will be higher"
            )
        leading.check()
        await marks.settle(self._etcd, self._keys, self._fence)
        promised = sum(not answer.failed for answer in answers.values())
        _LOG.info("nodes follow this leader", promised=promised, nodes=len(answers))

    async def _refuse_files(
        self, config: state.Config, nodes: calling.Nodes, later: epochs.Epoch
    ) -> None:
        """Have nobody lead by this etcd if the master that is followed keeps the cluster in files.

        Somebody has given this etcd up; what is in it is of before.
        """
        for node in config.current.nodes.values():
            if node.name != later.master:
                continue
            try:
                said = await nodes.call(node, "master_standing", timeout=_PROMISE)
                prefix = standings.decode(said).prefix
            except errors.Failure as error:
                _LOG.warning("what the master of a later epoch keeps is not known", why=str(error))
                return
            if prefix == "":
                await marks.give_up(self._etcd, self._keys, self._fence, later)
                raise leadership.NotLeading(
                    f"{later.master} is the master by its epoch {later.number}, and keeps the"
                    " cluster in files: what is in this etcd is of before"
                )

    async def _raise_epoch(self, number: int) -> None:
        """Have the next leader's number be higher than one that a node knows."""
        await self._etcd.transact(
            messages.Transaction(
                (self._fence.condition,),
                (messages.Put(self._keys.epoch, leased.encode_epoch(number)),),
            )
        )

    async def _give_up_address(self, config: state.Config, own: Node, nodes: calling.Nodes) -> None:
        """Have this node give the cluster's address back; the next leader takes it."""
        snapshot = config.current
        try:
            await nodes.call(
                own,
                "node_deactivate_master_ip",
                rpcargs.master_address(snapshot),
                snapshot.cluster.use_external_mip_script,
                timeout=_GIVING_UP,
            )
        except errors.Failure as error:
            _LOG.warning("the cluster's address may still be here", why=str(error))


def _own(config: state.Config, name: str) -> Node:
    """Return this node; raises BadInput if it is none that may lead."""
    for node in config.current.nodes.values():
        if node.name == name:
            if node.master_candidate and not node.offline:
                return node
            break
    raise errors.BadInput(f"{name} is no master candidate by the configuration", "wrong_state")


def _rename(edit: draft.Draft, own: Node) -> None:
    edit.put(msgspec.structs.replace(edit.cluster, master_node=own.uuid))
