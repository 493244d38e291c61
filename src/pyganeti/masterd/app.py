"""The daemon: wires its parts, has the votes confirm it, serves, and takes all down in order.

Start: lock the pid file, read the configuration, have the other nodes confirm that this is the
master, take up the queue, take the master's address, open the sockets, say that we are ready. End,
on SIGTERM or SIGINT: take no more requests, let jobs that have begun come to the end of their
opcode for a while; those that are cut off end in an error at the next start. Instances notice
nothing of either.
"""

import asyncio
import contextlib
import gc
from typing import Final

import pyganeti
from pyganeti.base import daemon, descriptors, errors, log, running, services, systemd
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import nodes as calling
from pyganeti.masterd import settings
from pyganeti.masterd.config import distribution, filestore, rpcargs, state
from pyganeti.masterd.election import asking
from pyganeti.masterd.jobs import candidates, queue
from pyganeti.masterd.locks import manager
from pyganeti.masterd.ops import context, performer, table
from pyganeti.masterd.queries import cluster, engine
from pyganeti.masterd.server import methods, server

_LOG = log.get(__name__)

_ADDRESS_PATIENCE: Final = 30.0
"""Seconds that the own node daemon has to take the master's address."""


def run(chosen: settings.Settings) -> int:
    """Run the daemon until it is told to end; return the exit code.

    Without ``foreground`` this returns in the parent as soon as the daemon is ready, or has said
    why it cannot be.
    """
    return running.run(
        settings.PROGRAM, chosen, [chosen.pid_file], lambda held: _serve(chosen, held)
    )


async def _serve(chosen: settings.Settings, held: running.Run) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    daemon.signals(loop, on_stop=stopped.set, on_reload=held.reopen_log)
    descriptors.raise_limit()
    async with contextlib.AsyncExitStack() as stack:
        await _start(chosen, stack, stopped)
        gc.collect()
        gc.freeze()
        held.started.ready()
        systemd.notify("READY=1")
        watching = loop.create_task(_tell_watchdog())
        try:
            await stopped.wait()
        finally:
            watching.cancel()
        systemd.notify("STOPPING=1")
    _LOG.info("ended")


async def _start(
    chosen: settings.Settings, stack: contextlib.AsyncExitStack, stopped: asyncio.Event
) -> None:
    """Bring everything up, to be taken down in the opposite order by the stack."""
    layout = chosen.layout
    store = filestore.FileStore(layout)
    config = await stack.enter_async_context(state.opened(store))
    nodes = calling.Nodes(
        await stack.enter_async_context(
            nodeclient.Caller(nodeclient.context_of(layout), port=services.port("ganeti-noded"))
        )
    )
    await _confirm(chosen, config, nodes)
    distributor = distribution.Distributor(nodes, store.copy)
    distributor.follow(config.current)
    config.follow(distributor.follow)
    config.distribution = distributor
    await stack.enter_async_context(distributor.running())
    locks = manager.Manager()
    carrier = performer.Performer(table.operations())
    jobs = queue.Queue(
        layout.queue_dir,
        carrier,
        livelock_dir=layout.run_dir / "livelocks",
        candidates=candidates.Configured(
            nodes, lambda: config.current, config.current.cluster.master_node
        ),
        limit=lambda: config.current.cluster.max_running_jobs,
        rules=lambda: config.current.filters,
        reprioritized=locks.reconsider,
    )
    answering = engine.Engine(
        config=config,
        nodes=nodes,
        queue=jobs,
        locks=locks,
        surroundings=cluster.Here(lambda: jobs.is_drained, layout.watcher_pause),
    )
    carrier.services = context.Services(
        layout=layout,
        config=config,
        nodes=nodes,
        locks=locks,
        engine=answering,
        stop=stopped.set,
    )
    config.follow(lambda _: jobs.reconsider())
    await stack.enter_async_context(jobs)
    await _take_address(config, nodes)
    known = methods.Methods(queue=jobs, engine=answering, config=config, nodes=nodes)
    await stack.enter_async_context(
        server.Server([layout.query_socket, layout.master_socket], known)
    )
    _LOG.info(
        "started",
        version=pyganeti.__version__,
        cluster=config.current.cluster.cluster_name,
        serial=config.current.serial_no,
        nodes=len(config.current.nodes),
        instances=len(config.current.instances),
    )


async def _confirm(chosen: settings.Settings, config: state.Config, nodes: calling.Nodes) -> None:
    """Raise a Failure unless this node is the master, by the configuration and by the votes."""
    name = chosen.layout.hostname
    master = config.current.master
    if master.name != name:
        raise errors.BadInput(f"this node is {name}, and the master is {master.name}")
    if not chosen.voting:
        _LOG.warning("the other nodes are not asked who the master is")
        return
    await asking.confirm(chosen.layout, name, config.current.nodes.values(), nodes)


async def _take_address(config: state.Config, nodes: calling.Nodes) -> None:
    """Have this node take the master's address; a failure keeps nobody from working."""
    snapshot = config.current
    try:
        await nodes.call(
            snapshot.master,
            "node_activate_master_ip",
            rpcargs.master_address(snapshot),
            snapshot.cluster.use_external_mip_script,
            timeout=_ADDRESS_PATIENCE,
        )
    except errors.Failure as error:
        _LOG.error("the master's address could not be taken", why=str(error))


async def _tell_watchdog() -> None:
    """Tell systemd that the loop turns, as often as it wants to hear."""
    seconds = systemd.watchdog_seconds()
    while seconds:
        systemd.notify("WATCHDOG=1", patience=0)
        await asyncio.sleep(seconds / 3)
