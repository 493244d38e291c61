"""Having a master daemon stand by on every other candidate, with all it needs to reach etcd.

Each candidate gets the file that says where the cluster is kept, and the certificates for that; the
daemon of one that had no such file is started. Of one that had, a daemon that does not run was
stopped by somebody, or is seen to by whoever keeps daemons up there. That is done for all when a
leader begins, and for each that becomes a candidate or comes back; one that does not take it is
tried again. Who ceases to be a candidate is told by the job that makes him that.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

from pyganeti.base import errors, log, paths
from pyganeti.masterd.config import state
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import noderpc, storefile

_LOG = log.get(__name__)

_PAUSES: Final = (2.0, 60.0)
_PATIENCE: Final = 15.0
_STARTING: Final = 60.0
_START: Final = "node_start_master_daemons"


class Nodes(Protocol):
    """Who calls nodes."""

    async def call(
        self, node: Node, name: str, *arguments: object, timeout: float | None = None
    ) -> Any:  # noqa: ANN401 - JSON
        """Have a node carry out a call; raises a Failure if it does not."""


@contextlib.asynccontextmanager
async def kept(layout: paths.Paths, config: state.Config, nodes: Nodes) -> AsyncIterator[None]:
    """Have daemons stand by, until left."""
    keeper = _Keeper(layout, config, nodes)
    config.follow(keeper.follow)
    keeper.follow(config.current)
    task = asyncio.create_task(keeper.run(), name="have daemons stand by")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


class _Keeper:
    def __init__(self, layout: paths.Paths, config: state.Config, nodes: Nodes) -> None:
        self._layout = layout
        self._config = config
        self._nodes = nodes
        self._wanted: frozenset[str] = frozenset()
        self._done: set[str] = set()
        self._due = asyncio.Event()

    def follow(self, snapshot: Snapshot) -> None:
        """Take note of who is to stand by."""
        wanted = frozenset(
            node.uuid
            for node in snapshot.candidates()
            if not node.offline and node.uuid != snapshot.cluster.master_node
        )
        if wanted != self._wanted:
            self._wanted = wanted
            self._done &= wanted
            self._due.set()

    async def run(self) -> None:
        pause = _PAUSES[0]
        while True:
            await self._due.wait()
            self._due.clear()
            missing = self._wanted - self._done
            found = await asyncio.gather(*(self._one(uuid) for uuid in missing))
            if all(found):
                pause = _PAUSES[0]
                continue
            self._due.set()
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(pause * 2, _PAUSES[1])

    async def _one(self, uuid: str) -> bool:
        """Have one stand by; return whether it does, or need not any more."""
        node = self._config.current.nodes.get(uuid)
        if node is None:
            return True
        try:
            wanted = await asyncio.to_thread(files_of, self._layout)
            was_told = await self._has(node, len(wanted[storefile.PATH]))
            for name, data in wanted.items():
                blob = noderpc.encode_blob(data)
                await self._nodes.call(
                    node, "upload_file_single", name, blob, storefile.MODE, "root", "root",
                    None, None, timeout=_PATIENCE,
                )  # fmt: skip
            if not was_told:
                await self._nodes.call(node, _START, False, timeout=_STARTING)  # noqa: FBT003 - the wire's order
        except (errors.Failure, OSError) as error:
            _LOG.warning("a candidate does not stand by", node=node.name, why=str(error))
            return False
        except Exception:  # noqa: BLE001 - one candidate must not keep the others from it
            _LOG.exception("a candidate cannot be had stand by", node=node.name)
            return False
        self._done.add(uuid)
        if not was_told:
            _LOG.info("a candidate stands by", node=node.name)
        return True

    async def _has(self, node: Node, size: int) -> bool:
        """Tell whether a node was told before where the cluster is kept."""
        match await self._nodes.call(node, "get_file_info", storefile.PATH, timeout=_PATIENCE):
            case [True, {"size": found}]:
                return bool(found == size)
        return False


def files_of(layout: paths.Paths) -> dict[str, bytes]:
    """Return what a candidate needs, by the names that all nodes know. Blocks; raises OSError."""
    kept_in = layout.store_file.read_bytes()
    store = storefile.decode(kept_in)
    found: dict[str, bytes] = {}
    for name in (store.authority, store.certificate, store.key):
        if name in storefile.CERTIFICATES:
            found[name] = layout.localize(name).read_bytes()
    # The last one decides: with it a daemon stands by.
    return found | {storefile.PATH: kept_in}
