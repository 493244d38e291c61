"""One time of being the master: from the configuration's reading to the last request's end.

Start: read the configuration, have it confirmed that this is the master, take up the queue, open
the sockets, take the master's address. End, in the opposite order: take no more requests, let jobs
that have begun come to the end of their opcode for a while; those that are cut off end in an error
at the next start. Instances notice nothing of either. Everything is made here and goes with it, so
that one process may lead more than once.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pyganeti
from pyganeti.base import log, services
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import address, figures, settings
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.backing import backing
from pyganeti.masterd.config import distribution, state
from pyganeti.masterd.election import leadership
from pyganeti.masterd.jobs import queue
from pyganeti.masterd.locks import manager
from pyganeti.masterd.ops import context, performer, table
from pyganeti.masterd.queries import cluster, engine
from pyganeti.masterd.server import methods, server, switching
from pyganeti.metrics import page as pages

_LOG = log.get(__name__)


@contextlib.asynccontextmanager
async def begun(
    chosen: settings.Settings,
    tenure: backing.Tenure,
    stop: Callable[[], None],
    door: switching.Switch | None = None,
    counted: figures.Figures | None = None,
) -> AsyncIterator[leadership.Leadership]:
    """Lead; when this is entered requests are served. ``stop`` has the whole daemon end.

    They come by a ``door`` that is open already, if there is one, else by sockets of our own.
    What happens is ``counted``.
    Raises a Failure if this node is not the master, or cannot be.
    """
    layout = chosen.layout
    counted = counted or figures.Figures(pages.Page("masterd", pyganeti.__version__))
    async with contextlib.AsyncExitStack() as stack:
        config = await stack.enter_async_context(state.opened(tenure.store))
        caller = nodeclient.Caller(
            nodeclient.context_of(layout),
            port=services.port("ganeti-noded"),
            epoch=lambda: tenure.epoch,
        )
        await stack.enter_async_context(caller)
        nodes = calling.Nodes(caller, deposed=tenure.deposed, observed=counted.called)
        leading = await stack.enter_async_context(tenure.confirmed(config, nodes))
        config.permitted = leading.check
        nodes.is_over = lambda: leading.is_lost
        distributor = distribution.Distributor(
            nodes, tenure.store.copy, master_too=not tenure.store.is_own_file
        )
        distributor.follow(config.current)
        config.follow(distributor.follow)
        config.distribution = distributor
        await stack.enter_async_context(distributor.running())
        locks = manager.Manager()
        carrier = performer.Performer(table.operations())
        jobs = tenure.queue(
            config,
            nodes,
            backing.Carrying(
                carrier=carrier,
                limit=lambda: config.current.cluster.max_running_jobs,
                rules=lambda: config.current.filters,
                reprioritized=locks.reconsider,
            ),
        )
        answering = engine.Engine(
            config=config,
            nodes=nodes,
            queue=jobs,
            locks=locks,
            surroundings=cluster.Here(
                lambda: jobs.is_drained,
                layout.watcher_pause,
                leadership=lambda: _told(chosen, tenure, leading),
            ),
        )
        carrier.services = context.Services(
            layout=layout,
            config=config,
            nodes=nodes,
            locks=locks,
            engine=answering,
            stop=stop,
        )
        config.follow(lambda _: jobs.reconsider())
        leading.follow(_stirring(leading.standing, jobs, distributor))
        jobs.observe(counted.accepted, counted.ended)
        await stack.enter_async_context(jobs)
        stack.enter_context(
            counted.during(
                figures.Reign(
                    leading=leading,
                    snapshot=lambda: config.current,
                    locks=locks,
                    statuses=jobs.statuses,
                    is_drained=lambda: jobs.is_drained,
                )
            )
        )
        known = methods.Methods(
            queue=jobs,
            engine=answering,
            config=config,
            nodes=nodes,
            pause_file=layout.watcher_pause,
        )
        answers = counted.counted(known)
        serving = door or switching.Switch(answers)
        hosting = await stack.enter_async_context(serving.hosted(answers))
        sockets = [layout.query_socket, layout.master_socket] if door is None else []
        luxi = await stack.enter_async_context(
            server.Server(
                [*sockets, layout.leader_socket],
                hosting,
                node=layout.node_name,
                relay=layout.leader_socket,
            )
        )
        stack.enter_context(counted.door(lambda: luxi.count))
        await stack.enter_async_context(address.held(config, nodes, leading))
        _LOG.info(
            "started",
            version=pyganeti.__version__,
            cluster=config.current.cluster.cluster_name,
            serial=config.current.serial_no,
            nodes=len(config.current.nodes),
            instances=len(config.current.instances),
        )
        try:
            yield leading
        finally:
            if leading.is_lost:
                hosting.depose()


def _told(
    chosen: settings.Settings, tenure: backing.Tenure, leading: leadership.Leadership
) -> dict[str, Any]:
    """Return what is told of what the cluster is kept in, and of who leads it."""
    stands = leading.standing
    return {
        **tenure.details(),
        "leader": chosen.layout.hostname,
        "epoch": leading.epoch,
        "standing": stands.state.value,
        "since": stands.since,
        "why": stands.words,
    }


def _stirring(
    before: leadership.Standing, jobs: queue.Queue, distributor: distribution.Distributor
) -> leadership.Follower:
    """Return what has work go on when it may, and when a node is back."""
    silent = set(before.silent)

    def stir(standing: leadership.Standing) -> None:
        jobs.reconsider()
        if silent - set(standing.silent):
            jobs.hurry()
            distributor.hurry()
        silent.clear()
        silent.update(standing.silent)

    return stir
