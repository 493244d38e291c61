"""The kind of backing whose cluster is kept in etcd: every candidate stands by to lead it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from pyganeti.base import errors, log, paths, ssconf
from pyganeti.clients.etcd import client, reaching
from pyganeti.masterd import settings
from pyganeti.masterd.backing import backing
from pyganeti.masterd.backing.etcd import keys, marks, presence, tenure
from pyganeti.masterd.election import leadership, leased
from pyganeti.wire import storefile

_LOG = log.get(__name__)


class Etcd:
    """It; to be used as ``async with``."""

    kind = "etcd"
    stands_by = True

    def __init__(self, chosen: settings.Settings, kept: storefile.Etcd) -> None:
        """Make it; raises BadInput or Unavailable if this node cannot stand by."""
        if not chosen.voting:
            _LOG.warning("nobody votes on a cluster that is kept in etcd: it says who leads")
        layout = chosen.layout
        self._layout = layout
        self._name = layout.hostname
        self._keys = keys.Keys(kept.prefix)
        self._client = client.Client(reaching.access_of(kept, layout))
        self._election = leased.Election(
            self._client,
            str(self._keys),
            self._name,
            _address(layout, self._name),
            allowed=self._allowed,
        )
        self._watching: asyncio.Task[None] | None = None
        self._showing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to look who leads."""
        await self._client.__aenter__()
        self._watching = asyncio.create_task(self._election.watch(), name="look who leads")
        self._watching.add_done_callback(_end_deaf)
        self._showing = asyncio.create_task(
            presence.shown(self._client, self._keys, self._name), name="be seen to stand by"
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of etcd."""
        tasks = {task for task in (self._watching, self._showing) if task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._client.__aexit__(kind, error, trace)

    @property
    def leader(self) -> backing.Leader | None:
        """Who else leads."""
        found = self._election.leader
        if found is None or found.name == self._name:
            return None
        return backing.Leader(found.name, found.address, found.epoch)

    @property
    def dealings(self) -> backing.Dealings:
        """How it went with etcd."""
        counts = self._client.counts
        return backing.Dealings(
            calls=counts.calls,
            unanswered=counts.unanswered,
            refused=counts.refused,
            undecided=counts.undecided,
            undone=counts.undone,
            last_seconds=counts.last_seconds,
        )

    @property
    def is_leader(self) -> bool:
        """Whether this node leads."""
        found = self._election.leader
        return found is not None and found.name == self._name

    def follow(self, follower: Callable[[], None]) -> None:
        """Have somebody told when another leads."""
        self._election.follow(follower)

    @contextlib.asynccontextmanager
    async def won(self) -> AsyncIterator[tenure.Tenure]:
        """Wait until nobody leads, and lead."""
        async with self._election.held() as leading:
            yield tenure.Tenure(self._layout, self._client, self._keys, leading)

    async def _allowed(self) -> None:
        """Raise unless this node may lead, as far as files and marks say that."""
        if not self._layout.store_file.exists():
            raise leadership.Gone("this node is not to stand by any more: it has no store.json")
        candidates = (ssconf.read(self._layout, "master_candidates") or "").split()
        if self._name not in candidates:
            raise errors.Denied(f"{self._name} is no master candidate")
        try:
            await marks.check(self._client, self._keys, self._name)
        except marks.Moved:
            path = self._layout.store_file
            path.replace(path.with_suffix(".moved"))
            raise


def _end_deaf(watching: "asyncio.Task[None]") -> None:
    """End the process if a defect keeps it from hearing who leads: it would stand by for ever."""
    if not watching.cancelled() and watching.exception() is not None:
        _LOG.error("nobody looks any more who leads", why=repr(watching.exception()))
        os.kill(os.getpid(), signal.SIGTERM)


def _address(layout: paths.Paths, name: str) -> str:
    """Return where other nodes reach this one's node daemon."""
    for line in (ssconf.read(layout, "node_primary_ips") or "").splitlines():
        found, _, address = line.partition(" ")
        if found == name and address:
            return address.strip()
    raise errors.Unavailable(f"{name} is not among the nodes that this node has been told of")
