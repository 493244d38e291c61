"""Recovery in a cluster that is made up, over the real protocol, with the real queue and loop.

Whatever happens, in whatever order, and however often the watcher is killed: nothing is started
twice at once, nothing against what is wanted, and in the end whoever is to run does.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab import clusters, luxiservers
from pyganeti.base import errors, paths
from pyganeti.clients import luxitasks
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.jobs import work
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.recovery.settings import GAVE_UP, Limits
from pyganeti.watcher.recovery import moments, recoverer
from pyganeti.wire import reasontrail

INSTANCES, NODES = 4, 2
FASTER = 2000
"""How much faster the watcher's clock is than ours."""

Step: TypeAlias = tuple[str, int]


class World:
    """The cluster, and what runs in it; it answers for the nodes and carries jobs out."""

    def __init__(self) -> None:
        made = clusters.small(nodes=NODES, instances=INSTANCES)
        up = [
            msgspec.structs.replace(one, admin_state="up", admin_state_source="admin")
            for one in made.instances.values()
        ]
        self.current = clusters.replaced(made, *up)
        self.names = [one.name for one in up]
        self.running = set(self.names)
        self.starting: set[str] = set()
        self.to_fail = 0
        self.starts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def instance(self, name: str) -> Instance:
        return self.current.instance(name)

    def change(self, name: str, **changes: object) -> None:
        changed = msgspec.structs.replace(self.instance(name), **changes)
        self.current = clusters.replaced(self.current, changed)

    def drain(self, number: int, *, drained: bool) -> None:
        node = msgspec.structs.replace(self.node(number), drained=drained)
        self.current = clusters.replaced(self.current, node)

    def node(self, number: int) -> Node:
        return list(self.current.nodes.values())[number]

    def is_given_up(self, name: str) -> bool:
        return any(tag.startswith(GAVE_UP) for tag in self.instance(name).tags)

    # It answers for the nodes.

    async def each(
        self,
        asked: Iterable[Node],
        name: str,
        arguments: Sequence[object] | Callable[[Any], Sequence[object]] = (),
        *,
        timeout: float | None = None,
    ) -> dict[str, calling.Answer]:
        told = {}
        for node in asked:
            there = {
                one.name: {"memory": 1, "vcpus": 1, "state": 0, "time": 0.0}
                for one in self.current.instances.values()
                if one.primary_node == node.uuid and one.name in self.running
            }
            told[node.uuid] = calling.Answer(payload=there)
        return told

    # It carries jobs out.

    async def perform(self, opcode: dict[str, Any], run: work.Run) -> Any:
        await run.begin()
        name = opcode.get("instance_name") or opcode.get("name")
        is_watchers = reasontrail.is_watchers(run.reason)
        match opcode["OP_ID"]:
            case "OP_INSTANCE_STARTUP":
                return await self.start(str(name), is_watchers=is_watchers)
            case "OP_INSTANCE_SHUTDOWN":
                self.change(str(name), admin_state="down")
                self.running.discard(str(name))
            case "OP_TAGS_SET":
                if self.starts[str(name)] < Limits().tries:
                    self.wrong.append(f"{name} was given up after {self.starts[str(name)]} starts")
                self.change(str(name), tags=tuple(opcode["tags"]))
            case "OP_TAGS_DEL":
                self.change(str(name), tags=())
        return None

    async def start(self, name: str, *, is_watchers: bool) -> str | None:
        if is_watchers:
            if self.instance(name).admin_state != "up":
                return "it is not wanted to run"
            if name in self.running:
                return "it runs"
            self.starts[name] += 1
        else:
            self.change(name, admin_state="up", tags=())
        if name in self.starting:
            self.wrong.append(f"{name} is being started twice at once")
        self.starting.add(name)
        try:
            await asyncio.sleep(0.005)
        finally:
            self.starting.discard(name)
        if self.to_fail:
            self.to_fail -= 1
            raise errors.Failure("it does not start")
        self.running.add(name)
        return None


class Life:
    """The world, the master's socket, and a watcher that is killed and begun anew."""

    def __init__(self, world: World, layout: paths.Paths, caller: nodeclient.Caller) -> None:
        self.world = world
        self.layout = layout
        self.caller = caller
        self.master = luxitasks.Client(layout)
        self.task: asyncio.Task[None] | None = None
        self.jobs: set[asyncio.Task[Any]] = set()

    def begin(self) -> None:
        offset = time.monotonic()
        made = recoverer.Recoverer(
            self.layout,
            self.caller,
            sweep=0.02 * FASTER,
            clock=moments.Clock(
                steady=lambda: (time.monotonic() - offset) * FASTER,
                wall=lambda: 1.7e9 + time.monotonic() * FASTER,
            ),
        )
        self.task = asyncio.create_task(made.run())

    async def kill(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    async def do(self, step: str, number: int) -> None:
        world = self.world
        name = world.names[number % INSTANCES]
        match step:
            case "kill":
                world.running.discard(name)
            case "batter":  # it falls whenever it is up, until it is given up or the time is
                for _ in range(60):
                    world.running.discard(name)
                    await asyncio.sleep(0.01)
                    if world.is_given_up(name):
                        break
            case "start" | "stop":
                kind = "OP_INSTANCE_STARTUP" if step == "start" else "OP_INSTANCE_SHUTDOWN"
                await self.submit(kind, instance_name=name)
            case "forgive" if world.is_given_up(name):
                [*tags] = world.instance(name).tags
                world.starts[name] = 0
                await self.submit("OP_TAGS_DEL", kind="instance", name=name, tags=tags)
            case "other job":
                await self.submit("OP_INSTANCE_ACTIVATE_DISKS", instance_name=name)
            case "fail":
                world.to_fail = number
            case "drain":
                world.drain(number % NODES, drained=bool(number % 3))
            case "watcher":
                await self.kill()
                if number % 2:
                    (self.layout.state_dir / recoverer.FILE).unlink(missing_ok=True)
                self.begin()
            case _:
                await asyncio.sleep(number / 1000)

    async def submit(self, kind: str, /, **parameters: object) -> None:
        await self.master.submit([{"OP_ID": kind, "reason": [], **parameters}])

    def is_settled(self) -> bool:
        world = self.world
        return not world.starting and all(
            one.name in world.running or one.admin_state != "up" or world.is_given_up(one.name)
            for one in world.current.instances.values()
        )


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["kill", "batter"]), st.integers(0, INSTANCES - 1)),
        st.tuples(
            st.sampled_from(["start", "stop", "other job", "forgive"]),
            st.integers(0, INSTANCES - 1),
        ),
        st.tuples(st.sampled_from(["fail", "drain", "watcher"]), st.integers(0, 6)),
        st.tuples(st.just("wait"), st.integers(0, 60)),
    ),
    min_size=6,
    max_size=12,
)


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(STEPS)
def test_whatever_happens_nothing_is_started_twice_and_nobody_is_forgotten(
    short_dir: Path, steps: list[Step]
) -> None:
    asyncio.run(live(short_dir, steps))


async def live(root: Path, steps: list[Step]) -> None:
    world = World()
    place = root / f"{time.monotonic_ns():x}"
    place.mkdir()
    async with (
        luxiservers.started(
            place, world.current, config=world, asking=world, carrier=world
        ) as running,
        nodeclient.Caller(None, port=1) as caller,
    ):
        life = Life(world, running.layout, caller)
        life.begin()
        try:
            for step, number in steps:
                await life.do(step, number)
            world.to_fail = 0
            for number in range(NODES):
                world.drain(number, drained=False)
            async with asyncio.timeout(30):
                while not life.is_settled():  # noqa: ASYNC110 - the world tells nobody
                    await asyncio.sleep(0.01)
            assert life.task is not None
            assert not life.task.done()
        finally:
            await life.kill()
            life.master.close()
    assert world.wrong == []
