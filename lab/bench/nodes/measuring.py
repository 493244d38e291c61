"""What is measured of node daemons, in that order, on one machine of the laboratory."""

import statistics
from collections.abc import Callable, Iterator
from concurrent import futures
from functools import partial
from typing import Final

from lab import guests
from lab.bench import figures, runs
from lab.bench.nodes import daemons, loads, starts
from lab.cluster import clusters, conductor, instances

KINDS: Final = ("version", "starts", "crowd")
CLIENTS: Final = 20
CALLS: Final = 10_000
"""Calls over which the daemon must not grow."""

SIZES: Final = (20, 100)
AT_ONCE: Final = 10

WARM_UP: Final = 1000
_STARTERS: Final = 6
_ONE_IN: Final = 100
_LOOKS: Final = 20

Step = tuple[str, Callable[[], None]]


def steps(
    plan: runs.Plan, found: figures.Results, wanted: frozenset[str], *, with_peer: bool
) -> Iterator[Step]:
    """Return what one run consists of; each step makes a cluster of one node of its own."""
    todo: dict[str, Callable[..., None]] = {
        "version": measure_version,
        "starts": measure_starts,
        "crowd": measure_crowd,
    }
    for kind, measure in todo.items():
        if kind in wanted:
            yield f"noded: {kind}", partial(measure, plan, found, with_peer=with_peer)


def measure_version(plan: runs.Plan, found: figures.Results, *, with_peer: bool) -> None:
    """Measure the smallest call, one at a time and twenty at once."""
    times = plan.calls
    with clusters.Cluster(1) as cluster:
        load = loads.Load(cluster.caller(), cluster.master.address)
        own = daemons.Own(cluster)
        with own.running():
            load.kept(WARM_UP)
            kept = load.kept(times)
            found.add(own.title, "version.kept", loads.median(kept))
            found.add(own.title, "version.one", loads.mean(kept))
            found.add(own.title, "version.new", loads.median(load.new(times // 10)))
            at_once = load.kept_at_once(CLIENTS, times)
            found.add(own.title, "version.twenty", at_once * 1000)
            at_once = load.new_at_once(CLIENTS, times // 5)
            found.add(own.title, "version.twenty.new", at_once * 1000)
        if with_peer:
            peer = daemons.Peer(cluster)
            with peer.running():
                load.new(5)
                new = load.new(times // 50)
                found.add(peer.title, "version.new", loads.median(new))
                found.add(peer.title, "version.one", loads.mean(new))
                at_once = load.new_at_once(CLIENTS, times // 10) * 1000
                found.add(peer.title, "version.twenty", at_once)
                found.add(peer.title, "version.twenty.new", at_once)


def measure_starts(plan: runs.Plan, found: figures.Results, *, with_peer: bool) -> None:
    """Measure starts, one at a time and ten at once, in turns with bare qemus."""
    del with_peer
    title = daemons.Own.title
    with clusters.Cluster(1) as cluster:
        made = starts.Starts(cluster, AT_ONCE)
        first, everyone = made.prepared[:1], made.prepared
        for key, chosen, times in (
            ("one", first, plan.starts),
            ("ten", everyone, plan.starts // 4),
        ):
            turns = [
                (
                    made.bare(chosen),
                    made.bare(chosen, paused=False),
                    made.served(chosen),
                    made.served(chosen, kept=False),
                    made.served(chosen, paused=True),
                )
                for _ in range(max(times, 1))
            ]
            bare, let_go, *served = (statistics.median(way) for way in zip(*turns, strict=True))
            found.add(title, f"start.{key}.bare", bare * 1000)
            found.add(title, f"start.{key}.bare.runs", let_go * 1000)
            found.add(title, f"start.{key}.runs.ratio", served[0] / let_go)
            for name, spent in zip((key, f"{key}.new", f"{key}.paused"), served, strict=True):
                found.add(title, f"start.{name}", spent * 1000)
                found.add(title, f"start.{name}.ratio", spent / bare)
        made.close()


def measure_crowd(plan: runs.Plan, found: figures.Results, *, with_peer: bool) -> None:
    """Measure lists of many guests, and what many guests and many calls cost in memory."""
    with clusters.Cluster(1) as cluster:
        own = daemons.Own(cluster)
        with own.running():
            _note_memory(found, own, "0")
        peer = daemons.Peer(cluster) if with_peer else None
        running = 0
        for size in SIZES:
            with own.running():
                _fill(cluster, running, size)
                running = size
                _measure_list(cluster, found, own, size)
                if size == SIZES[-1]:
                    _note_memory(found, own, str(size))
                    _measure_growth(cluster, found, own, plan.many)
            if peer is not None:
                with peer.running():
                    _measure_list(cluster, found, peer, size)
                    if size == SIZES[-1]:
                        _note_memory(found, peer, str(size))


def _fill(cluster: clusters.Cluster, begin: int, end: int) -> None:
    master = conductor.Conductor(cluster)

    def start(index: int) -> None:
        instance = instances.Instance(f"guest{index}", cluster.shared, guests.idle())
        master.add(instance, cluster.master)
        master.start(instance, cluster.master)

    with futures.ThreadPoolExecutor(_STARTERS) as pool:
        list(pool.map(start, range(begin, end)))


def _list_of(cluster: clusters.Cluster) -> loads.Load:
    hvparams = instances.Instance("", cluster.shared).all_hvparams()
    arguments = (["kvm"], {"kvm": hvparams})
    return loads.Load(cluster.caller(), cluster.master.address, "all_instances_info", arguments)


def _measure_list(
    cluster: clusters.Cluster, found: figures.Results, daemon: daemons.Daemon, size: int
) -> None:
    load = _list_of(cluster)
    told = cluster.call(cluster.master, load.name, *load.arguments)
    if len(told) != size or any(each["state"] != 0 for each in told.values()):
        raise loads.Wrong(f"{len(told)} of {size} instances are told of")
    found.add(daemon.title, f"list.{size}", loads.median(load.new(_LOOKS)))


def _note_memory(found: figures.Results, daemon: daemons.Daemon, size: str) -> None:
    pss, rss = daemon.memory()
    found.add(daemon.title, f"pss.noded.{size}", pss)
    found.add(daemon.title, f"rss.noded.{size}", rss)


def _measure_growth(
    cluster: clusters.Cluster, found: figures.Results, own: daemons.Own, times: int
) -> None:
    """Make many calls, some of them lists, some on new connections; see what they leave."""
    small = loads.Load(cluster.caller(), cluster.master.address)
    large = _list_of(cluster)

    def call(number: int) -> None:
        for _ in range(number // _ONE_IN):
            small.kept(_ONE_IN - 4)
            small.new(3)
            large.new(1)

    call(WARM_UP)
    before = own.memory()[1]
    call(times)
    found.add(own.title, "growth.noded", own.memory()[1] - before)
