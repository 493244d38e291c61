"""Nodes that answer what a test tells them to, over the real node RPC: HTTP on loopback.

    async with answeringnodes.started(snapshot.nodes.values()) as cluster:
        cluster.say("node1.example.com", "all_instances_info", {})
        async with cluster.caller() as asking:
            …

A node that was told nothing about a call refuses it, and one that is to `lack` it does not know it.
What was asked is kept in ``asked``.
"""

import asyncio
import contextlib
import inspect
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

from aiohttp import web

from pyganeti.base import errors
from pyganeti.clients import node as nodeclient
from pyganeti.clients import promises
from pyganeti.masterd import nodes
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import epochs, noderpc

_DONE: Final[dict[str, object]] = {
    "hypervisor_validate_params": [True, ""],
    "os_validate": True,
    "hooks_runner": [],
    "bridges_exist": None,
    "file_storage_dir_create": [],
    "file_storage_dir_remove": [],
    "blockdev_create": "",
    "blockdev_assemble": ["/dev/x", "/link", None],
    "blockdev_shutdown": None,
    "blockdev_remove": None,
    "blockdev_getmirrorstatus": [],
    "os_diagnose": [["noop", "/srv/ganeti/os/noop", True, "", ["default"], [], [20], True]],
    "instance_info": {},
    "instance_os_add": None,
    "instance_metadata_modify": None,
    "instance_start": None,
    "instance_shutdown": None,
}
"""What nodes answer that do all that is asked."""


class Answering:
    """Nodes by their names, each on an address of its own and all on one port."""

    def __init__(self, known: Iterable[nodes.Node]) -> None:
        self.asked: list[tuple[str, str, list[Any]]] = []
        self.held = asyncio.Event()
        """While it is not set, a node that was told to `hang` does not answer."""

        self.port = 0
        self._names = {node.primary_ip: node.name for node in known}
        self._answers: dict[tuple[str, str], Any] = {}
        self._hanging: set[tuple[str, str | None]] = set()
        self._lacking: set[tuple[str, str]] = set()
        self._runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
        self._runner.app.router.add_post("/{call}", self._answer)

    def say(self, name: str, call: str, payload: object | Callable[..., object]) -> None:
        """Have a node answer a call with a payload, or with what a function makes of arguments.

        A Failure that the function raises is what the node refuses with. It may be a coroutine's.
        """
        self._answers[name, call] = payload

    def play(self, snapshot: Snapshot) -> None:
        """Have every node say that its instances run, and what it has."""
        hypervisor = {
            "memory_total": 16384, "memory_free": 12000, "memory_dom0": 1024,
            "cpu_total": 8, "cpu_nodes": 1, "cpu_sockets": 1, "cpu_dom0": 1,
        }  # fmt: skip
        storage = {"type": "file", "name": "/x", "storage_free": 90000, "storage_size": 99999}
        for node in snapshot.nodes.values():
            alive = {"memory": 256, "vcpus": 1, "state": 0, "time": 0}
            here = {instance.name: alive for instance in snapshot.instances_on(node)}
            self.say(node.name, "all_instances_info", here)
            self.say(node.name, "node_info", ["boot", [storage], [hypervisor]])

    def obey(self, snapshot: Snapshot) -> None:
        """Have every node say that it did what it was asked, for instances with the OS ``noop``."""
        for node in snapshot.nodes.values():
            for call, payload in _DONE.items():
                self.say(node.name, call, payload)

    def lack(self, name: str, call: str) -> None:
        """Have a node not know a call at all, as an older node daemon."""
        self._lacking.add((name, call))

    def hang(self, name: str, call: str | None = None) -> None:
        """Have a node take calls, or those of a name, and not answer."""
        self._hanging.add((name, call))

    def go_on(self) -> None:
        """Have all nodes answer again, as they were told to."""
        self._hanging.clear()
        self._lacking.clear()

    def calls(self, call: str) -> list[str]:
        """Return the names of the nodes that were asked for something, in their order."""
        return [name for name, asked, _ in self.asked if asked == call]

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[nodes.Nodes]:
        """Return what asks these nodes."""
        async with nodeclient.Caller(None, port=self.port) as caller:
            yield nodes.Nodes(caller)

    async def start(self) -> None:
        """Begin to answer."""
        await self._runner.setup()
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        for address in self._names:
            await web.TCPSite(self._runner, address, self.port).start()

    async def stop(self) -> None:
        """End; calls that hang end too."""
        self.held.set()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        name = self._names[request.get_extra_info("sockname")[0]]
        call = request.match_info["call"]
        arguments = noderpc.decode_arguments(await request.read())
        self.asked.append((name, call, arguments))
        if self._hanging & {(name, None), (name, call)}:
            await self.held.wait()
        if (name, call) in self._lacking:
            return web.Response(status=404)
        if (name, call) not in self._answers:
            return web.Response(body=noderpc.failure(f"{name} was told nothing about {call}"))
        answer = self._answers[name, call]
        try:
            payload = answer(*arguments) if callable(answer) else answer
            if inspect.isawaitable(payload):
                payload = await payload
        except promises.Outranked as error:
            refused = web.Response(body=noderpc.failure(str(error)))
            refused.headers[epochs.HEADER] = str(error.known)
            return refused
        except errors.Failure as error:
            return web.Response(body=noderpc.failure(str(error)))
        return web.Response(body=noderpc.success(payload))


@contextlib.asynccontextmanager
async def started(known: Iterable[nodes.Node]) -> AsyncIterator[Answering]:
    """Return nodes that answer, until the block ends."""
    answering = Answering(known)
    try:
        await answering.start()
        yield answering
    finally:
        await answering.stop()
