"""Brings the configuration to the master candidates, and the simple settings to every node.

Each node has a task of its own that sends it the newest state and nothing in between: a node that
is slow or gone delays nobody, and what changes meanwhile is sent once. A node that did not take it
is tried again, less and less often, until it has it; one that was offline is sent everything when
it is back, and so is everybody after a start, since nobody knows then what they have. The master
gets its simple settings like the others, through its node daemon; its config.data it has, unless
the configuration is kept elsewhere.

Nothing here is waited for by a change. Whoever needs the nodes to know (of a new candidate's
certificate, say) waits by `Distributor.settled`.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NamedTuple, Protocol

from pyganeti.base import errors, log
from pyganeti.masterd.config.store import Copy
from pyganeti.model.config import keys, ssconf
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import noderpc

_LOG = log.get(__name__)

CONFIG_PATH: Final = "/var/lib/ganeti/config.data"
"""What all nodes call the file."""

_PATIENCE: Final = 60.0
_PAUSES: Final = (1.0, 60.0)
"""Seconds between attempts at a node that did not take it: after the first, and the longest."""


_REST: Final = 4.0
"""How many times as long as it takes to pack the configuration it is not packed again."""


class Nodes(Protocol):
    """Who calls nodes."""

    async def call(
        self, node: Node, name: str, *arguments: object, timeout: float | None = None
    ) -> Any:  # noqa: ANN401 - JSON
        """Have a node carry out a call; raises a Failure if it does not."""


class State(NamedTuple):
    """What a node has, or is to have: numbers that rise."""

    config: int = -1
    """The configuration's serial number; below zero for one that keeps none."""

    settings: int = -1
    """How often the simple settings had changed."""

    def covers(self, other: "State") -> bool:
        """Return whether who has this has that, too."""
        return self.config >= other.config and self.settings >= other.settings


class _Target:
    """One node that is not offline."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.wanted = State()
        self.has = State()
        self.due = asyncio.Event()
        self.hurried = asyncio.Event()
        self.is_failing = False

    @property
    def is_behind(self) -> bool:
        return not self.has.covers(self.wanted)


class Distributor:
    """Keeps the nodes at the state that `follow` was told last, while `running`."""

    def __init__(
        self,
        nodes: Nodes,
        copy: Callable[[], Awaitable[Copy]],
        *,
        master_too: bool = False,
        pauses: tuple[float, float] = _PAUSES,
    ) -> None:
        """Make it; the master needs no copy of the configuration where its file is the original.

        With ``master_too`` it is kept elsewhere, and the master's file is a copy like any other.
        """
        self._master_too = master_too
        self._nodes = nodes
        self._copy = copy
        self._pauses = pauses
        self._newest: Snapshot | None = None
        self._planned: Snapshot | None = None
        self._due = asyncio.Event()
        self._moved = asyncio.Event()
        self._targets: dict[str, _Target] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._settings: ssconf.Values = {}
        self._settings_number = 0
        self._packing: asyncio.Task[_Packed] | None = None
        self._packing_allowed = 0.0

    def follow(self, snapshot: Snapshot) -> None:
        """Take a state for the newest."""
        self._newest = snapshot
        self._due.set()

    def hurry(self) -> None:
        """Try nodes at once that did not take what they were sent: one of them may be back."""
        for target in self._targets.values():
            target.hurried.set()

    def renew(self) -> None:
        """Send everything to everybody again, whatever they have."""
        for target in self._targets.values():
            target.has = State()
            target.due.set()

    async def settled(self, *, timeout: float, patient: bool = True) -> tuple[str, ...]:
        """Wait until the nodes have what is newest now; return the names of those that do not.

        Nodes that are offline are not waited for, and not named. Unless ``patient``, those are not
        waited for either that did not take the last they were sent, which may be dead.
        """
        newest = self._newest
        behind: list[_Target] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while newest is not None and not self._has_planned(newest):
                    await self._moved.wait()
                goals = {uuid: target.wanted for uuid, target in self._targets.items()}
                while behind := self._short_of(goals):
                    if not patient and all(target.is_failing for target in behind):
                        break
                    await self._moved.wait()
        if newest is not None and not self._has_planned(newest):
            return tuple(node.name for node in newest.nodes.values() if not node.offline)
        return tuple(sorted(target.node.name for target in behind))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send what is to be sent, until left; what is under way then is given up."""
        planning = asyncio.create_task(self._plan(), name="plan what nodes get")
        try:
            yield
        finally:
            tasks = [planning, *self._tasks.values()]
            packing = () if self._packing is None else (self._packing,)
            for task in (*tasks, *packing):
                task.cancel()
            await asyncio.wait({*tasks, *packing})
            self._tasks.clear()
            self._targets.clear()

    def _has_planned(self, snapshot: Snapshot) -> bool:
        return self._planned is not None and self._planned.serial_no >= snapshot.serial_no

    def _short_of(self, goals: dict[str, State]) -> list[_Target]:
        found = ((self._targets.get(uuid), goal) for uuid, goal in goals.items())
        return [target for target, goal in found if target and not target.has.covers(goal)]

    def _tell(self) -> None:
        """Wake those who wait for progress."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def _plan(self) -> None:
        """Work out, for the newest state, who is to have what."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._plan_once()
            except Exception:  # noqa: BLE001 - a task's top frame
                _LOG.exception("what nodes are to have cannot be worked out")

    async def _plan_once(self) -> None:
        snapshot = self._newest
        if snapshot is None:
            return
        if self._planned is None or settings_differ(self._planned, snapshot):
            settings = await asyncio.to_thread(ssconf.make, snapshot)
            if settings != self._settings:
                self._settings = settings
                self._settings_number += 1
        self._planned = snapshot
        self._retarget(snapshot)
        self._tell()

    def _retarget(self, snapshot: Snapshot) -> None:
        candidates = {node.uuid for node in snapshot.candidates()}
        if not self._master_too:
            candidates.discard(snapshot.cluster.master_node)
        online = {uuid: node for uuid, node in snapshot.nodes.items() if not node.offline}
        for uuid in self._targets.keys() - online.keys():
            del self._targets[uuid]
            self._tasks.pop(uuid).cancel()
        for uuid, node in online.items():
            target = self._targets.get(uuid)
            if target is None:
                target = self._targets[uuid] = _Target(node)
                self._tasks[uuid] = asyncio.create_task(
                    self._serve(target), name=f"keep {node.name} up to date"
                )
            target.node = node
            wanted = State(
                config=snapshot.serial_no if uuid in candidates else -1,
                settings=self._settings_number,
            )
            if uuid not in candidates:  # should it become one again, it starts from nothing
                target.has = target.has._replace(config=-1)
            target.wanted = wanted
            if target.is_behind:
                target.due.set()

    async def _serve(self, target: _Target) -> None:
        """Bring one node up to date, again and again."""
        first, longest = self._pauses
        pause = first
        while True:
            await target.due.wait()
            target.due.clear()
            while target.is_behind:
                try:
                    await self._bring(target)
                except errors.Failure as error:
                    if not target.is_failing:
                        _LOG.warning(
                            "a node does not take the configuration; it is tried again",
                            node=target.node.name, error=str(error),
                        )  # fmt: skip
                    target.is_failing = True
                except Exception:  # noqa: BLE001 - a task's top frame
                    _LOG.exception("a node is not sent the configuration", node=target.node.name)
                    target.is_failing = True
                else:
                    if target.is_failing:
                        _LOG.info("a node has taken the configuration", node=target.node.name)
                    target.is_failing = False
                    pause = first
                    self._tell()
                    continue
                self._tell()
                target.hurried.clear()
                try:
                    async with asyncio.timeout(pause * random.uniform(0.75, 1.25)):
                        await target.hurried.wait()
                except TimeoutError:
                    pause = min(pause * 2, longest)

    async def _bring(self, target: _Target) -> None:
        """Send a node what it lacks now; raises a Failure if it does not take it."""
        wanted, node = target.wanted, target.node
        if target.has.settings < wanted.settings:
            await self._nodes.call(node, "write_ssconf_files", self._settings, timeout=_PATIENCE)
            target.has = target.has._replace(settings=wanted.settings)
        if target.has.config < wanted.config:
            packed = await self._packed(wanted.config)
            await self._nodes.call(node, "upload_file_single", *packed.upload, timeout=_PATIENCE)
            target.has = target.has._replace(config=packed.number)

    async def _packed(self, least: int) -> "_Packed":
        """Return the configuration packed, in at least this state; once for all nodes."""
        while True:
            packing = self._packing
            if packing is None or (
                packing.done() and (packing.exception() or packing.result().number < least)
            ):
                packing = asyncio.create_task(self._pack(), name="pack the configuration")
                self._packing = packing
            packed = await asyncio.shield(packing)
            if packed.number >= least:
                return packed

    async def _pack(self) -> "_Packed":
        """Pack the newest state; not so often that it takes more than a share of a processor."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._packing_allowed - loop.time())
        begun = loop.time()
        number = -1 if self._planned is None else self._planned.serial_no
        try:
            copy = await self._copy()
        except OSError as error:
            raise errors.Unavailable(f"the configuration cannot be read: {error}") from error
        blob = await asyncio.to_thread(noderpc.encode_blob, copy.data)
        self._packing_allowed = loop.time() + _REST * (loop.time() - begun)
        time = int(copy.mtime)
        return _Packed(number, (CONFIG_PATH, blob, copy.mode, copy.user, copy.group, time, time))


class _Packed(NamedTuple):
    """What upload_file_single takes, and which state it has at least."""

    number: int
    upload: tuple[object, ...]


def settings_differ(before: Snapshot, after: Snapshot) -> bool:
    """Return whether the simple settings may differ; no look at every instance is needed."""
    return (
        before.cluster is not after.cluster
        or before.nodes is not after.nodes
        or before.groups is not after.groups
        or before.networks is not after.networks
        or before.instances.index(keys.names) is not after.instances.index(keys.names)
    )
