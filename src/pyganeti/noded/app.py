"""The daemon: wires its parts, serves until it is told to end, and takes them down in order.

Start: lock the pid file, take the port, lock the memory, say that we are ready. End, on SIGTERM,
SIGINT or when the node leaves its cluster: take no more calls, let those under way come to an end
for a while, give the locks back. Instances notice nothing of either.
"""

import asyncio
import concurrent.futures
import contextlib
import gc
import ipaddress
import os
import threading
from collections.abc import Callable
from typing import Final

import pyganeti
from pyganeti.base import daemon, daemons, descriptors, errors, log, memory, running, systemd
from pyganeti.metrics import page as pages
from pyganeti.metrics import serving
from pyganeti.noded import (
    calls,
    copies,
    fencing,
    figures,
    masteraddress,
    masterdoor,
    powercycle,
    settings,
)
from pyganeti.noded import node as nodes
from pyganeti.noded.instance import hypervisor, info, removal
from pyganeti.noded.net import network, sweeping
from pyganeti.noded.rpc import (
    admission,
    blockdev,
    dispatch,
    exports,
    files,
    hooks,
    jobqueue,
    listening,
    master,
    oses,
    server,
    verify,
)
from pyganeti.noded.rpc import instance as instance_calls
from pyganeti.noded.rpc import network as network_calls
from pyganeti.noded.rpc import node as node_calls
from pyganeti.noded.rpc import stops as stop_calls
from pyganeti.noded.rpc import storage as storage_calls
from pyganeti.noded.rpc import transfers as transfer_calls
from pyganeti.noded.stops import feed
from pyganeti.noded.storage import storage
from pyganeti.noded.transfers import transfers

_LOG = log.get(__name__)

FAMILIES: Final = (
    blockdev.CALLS,
    exports.CALLS,
    files.CALLS,
    hooks.CALLS,
    instance_calls.CALLS,
    jobqueue.CALLS,
    master.CALLS,
    network_calls.CALLS,
    node_calls.CALLS,
    oses.CALLS,
    stop_calls.CALLS,
    storage_calls.CALLS,
    verify.CALLS,
    transfer_calls.CALLS,
)

_THREADS: Final = 64
"""Calls that may hang in the kernel (a dead file server) before others have to wait for them."""

_SHARE_THAT_WAITS: Final = 4
"""One client's place in so many may be held by a call that waits for stops, or for the master."""

_THREAD_NAME: Final = "work"
_THREAD_STACK: Final = 512 * 1024
_THREADS_AT_END: Final = 2.0


def make_node(
    chosen: settings.Settings, leave: Callable[[], None], port: int | None = None
) -> nodes.Node:
    """Make what calls work on; ``port`` is where we listen, if the kernel chose."""
    layout = chosen.layout
    stored = storage.Storage(layout, os.environ)
    attached = network.Network(layout)
    fence = fencing.Fence(layout, layout.hostname)
    return nodes.Node(
        paths=layout,
        name=layout.hostname,
        port=chosen.port if port is None else port,
        fence=fence,
        copies=copies.Copies(layout, fence),
        address=masteraddress.MasterAddress(layout, attached.netlink),
        storage=stored,
        network=attached,
        hypervisor=hypervisor.Hypervisor(
            paths=layout,
            storage=stored,
            network=attached,
            ensure_kvmd=lambda: daemons.start(layout, "ganeti-kvmd"),
            kvmd_runs=lambda: daemons.running(layout, "ganeti-kvmd") is not None,
        ),
        stops=feed.Feed(
            layout.kvmd_journal,
            runs=lambda: daemons.running(layout, "ganeti-kvmd") is not None,
            most=-(-chosen.max_clients // _SHARE_THAT_WAITS) if chosen.max_clients > 1 else 0,
        ),
        transfers=transfers.Transfers(layout, is_alone=_is_loopback(chosen.bind)),
        door=masterdoor.Door(
            layout.leader_socket, most=max(1, chosen.max_clients // _SHARE_THAT_WAITS)
        ),
        power=powercycle.Powercycle(powercycle.place_of(layout)),
        leave=leave,
    )


def _is_loopback(bind: str) -> bool:
    """Tell whether nobody from outside can call: then nobody is to send anything either.

    Otherwise data may come through another of the node's networks than calls do.
    """
    try:
        return ipaddress.ip_address(bind).is_loopback
    except ValueError:  # a name
        return False


def run(chosen: settings.Settings) -> int:
    """Run the daemon until it is told to end; return the exit code.

    Without ``foreground`` this returns in the parent as soon as the daemon is ready, or has said
    why it cannot be.
    """
    memory.settle()
    threading.stack_size(_THREAD_STACK)
    return running.run(
        settings.PROGRAM, chosen, [chosen.pid_file], lambda held: _serve(chosen, held)
    )


async def _serve(chosen: settings.Settings, held: running.Run) -> None:
    loop = asyncio.get_running_loop()
    # Not the loop's own, which has room for six hanging calls on a machine with two processors.
    threads = concurrent.futures.ThreadPoolExecutor(_THREADS, _THREAD_NAME)
    loop.set_default_executor(threads)
    served = Service(chosen)
    daemon.signals(loop, on_stop=served.stop, on_reload=held.reopen_log)
    try:
        await served.start()
        held.started.ready()
        systemd.notify("READY=1")
        await served.wait()
        systemd.notify("STOPPING=1")
    finally:
        await served.close()
        threads.shutdown(wait=False, cancel_futures=True)
        if not await _ended(_THREADS_AT_END):
            # What hangs in the kernel would keep the process for as long as it hangs.
            _LOG.error("ended, with calls that hang left behind")
            held.release()
            os._exit(0)
    _LOG.info("ended")


async def _ended(patience: float) -> bool:
    """Wait for the threads that calls work in; return whether all have ended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while any(t.name.startswith(_THREAD_NAME) for t in threading.enumerate()):  # noqa: ASYNC110 - threads wake nobody when they end
                await asyncio.sleep(0.01)
            return True
    return False


class Service:
    """One daemon's parts, from `start` to `close`."""

    def __init__(self, chosen: settings.Settings) -> None:
        self._chosen = chosen
        self._ended = asyncio.Event()
        self._watchdog: asyncio.TimerHandle | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._giving_up: set[asyncio.Task[None]] = set()
        self._listening = listening.open_socket(chosen.bind, chosen.port)
        try:
            self._server = self._make_server(chosen)
        except BaseException:
            self._listening.close()
            raise

    async def start(self) -> None:
        """Begin to answer."""
        descriptors.raise_limit()
        gc.collect()
        gc.freeze()
        if self._chosen.mlock:
            try:
                memory.lock()
            except errors.Denied as error:
                _LOG.warning("the daemon may be swapped out", why=str(error))
        self._server.start(self._listening)
        self._sweeping.start()
        self._tidying = asyncio.get_running_loop().create_task(self._tidy())
        self._node.fence.on_other = self._on_other
        if self._node.fence.is_other:
            self._on_other()
        await self._figures.start(self._chosen.metrics)
        self._tell_watchdog()
        address, port = self._listening.getsockname()[:2]
        _LOG.info("started", version=pyganeti.__version__, address=address, port=port)
        if self._chosen.certificate is None:
            _LOG.warning("no TLS: whoever can connect can do everything with this node")

    def stop(self) -> None:
        """Have `wait` return."""
        self._ended.set()

    async def wait(self) -> None:
        """Return when the daemon is to end."""
        await self._ended.wait()

    async def close(self) -> None:
        """Take no more calls, and wait a while for those under way."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._node.stops.end()
        await self._figures.close()
        await self._page.close()
        await self._server.close()
        self._node.stops.close()
        self._listening.close()
        await self._sweeping.close()
        await asyncio.gather(*self._giving_up, return_exceptions=True)
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
        await self._node.network.close()
        self._node.power.close()

    def _on_other(self) -> None:
        """Have what only a master has given up, beside everything else."""
        task = asyncio.get_running_loop().create_task(self._give_up())
        self._giving_up.add(task)
        task.add_done_callback(self._giving_up.discard)

    async def _give_up(self) -> None:
        try:
            await self._node.address.give_up()
        except Exception as error:  # noqa: BLE001 - a task's top frame
            _LOG.exception("the master's address was not given up", error=repr(error))

    async def _tidy(self) -> None:
        """Clean up after what went while no daemon ran."""
        try:
            await asyncio.to_thread(removal.tidy, self._node.hypervisor.where)
        except Exception as error:  # noqa: BLE001 - a task's top frame
            _LOG.exception("announcements that are over were not removed", error=repr(error))

    def _make_server(self, chosen: settings.Settings) -> server.Server:
        self._node = make_node(chosen, self.stop, self._listening.getsockname()[1])
        self._sweeping = sweeping.Sweeping(self._node.network)
        self._page = pages.Page("noded", pyganeti.__version__)
        self._figures = serving.Server(self._page, pages.CONTENT_TYPE)
        counted = figures.Figures(self._page, self._looks())
        self._dispatcher = dispatch.Dispatcher(calls.Table(FAMILIES), self._node, counted.answered)
        if chosen.certificate is None:
            return server.Server(
                self._dispatcher,
                admitted=None,
                fence=self._node.fence,
                secured=lambda: None,
                max_clients=chosen.max_clients,
                refused=counted.refused,
            )
        return server.Server(
            self._dispatcher,
            admitted=admission.Admission(chosen.layout, chosen.certificate),
            fence=self._node.fence,
            secured=server.ContextOfFiles(chosen.certificate, chosen.key or chosen.certificate),
            max_clients=chosen.max_clients,
            refused=counted.refused,
        )

    def _looks(self) -> figures.Looks:
        layout = self._chosen.layout
        return figures.Looks(
            journal=layout.kvmd_journal,
            guests=lambda: info.running(self._node.hypervisor),
            kvmd_runs=lambda: daemons.running(layout, "ganeti-kvmd") is not None,
            connections=lambda: self._server.count,
            calls=lambda: self._dispatcher.under_way,
            waiting=lambda: self._node.stops.waiting,
            epoch=lambda: 0 if (known := self._node.fence.known) is None else known.number,
        )

    def _tell_watchdog(self) -> None:
        seconds = systemd.watchdog_seconds()
        if seconds:
            systemd.notify("WATCHDOG=1", patience=0)
            self._watchdog = asyncio.get_running_loop().call_later(seconds / 3, self._tell_watchdog)
