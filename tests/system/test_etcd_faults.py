"""What can happen to a cluster kept in etcd happens, while clients submit jobs all along.

Afterwards the history of etcd and what the clients were told have to agree: no job is lost or begun
twice, and nothing was written by whoever did not lead. Guests run all the while and notice nothing.
"""

import contextlib
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from lab import qemus
from lab.cluster import candidates, clusters, instances, machines, namespaces, submitting
from lab.etcd import etcds, histories
from pyganeti.masterd.backing.etcd import chain, jobvalues, keys
from pyganeti.masterd.election import leased
from pyganeti.masterd.jobs import lifecycle
from pyganeti.model.config import datafile, entries
from pyganeti.wire import jobfile
from pyganeti.wire.jobfile import Status

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("system-etcd-faults"),
]

WHERE: Final = keys.Keys(candidates.PREFIX)
TAKEOVER: Final = 15.0
_FAKETIME: Final = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
"""Debian's libfaketime, which scripts/setup installs."""


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Leave what is left here to go with the machines."""


@pytest.fixture(scope="module")
def kept() -> Iterator[candidates.Candidates]:
    """Make three machines a cluster that is kept in etcd, which has little room."""
    if why_not := namespaces.why_not() or etcds.why_not():
        pytest.skip(why_not)
    if _FAKETIME is None:
        pytest.skip("there is no libfaketime (Debian package libfaketime)")
    with (
        clusters.Cluster(3) as cluster,
        etcds.on(cluster.nodes, quota=etcds.SMALL) as etcd,
        candidates.started(cluster, etcd, _one_on_each(cluster)) as made,
    ):
        yield made


def test_history_agrees_after_every_fault(
    kept: candidates.Candidates, record_property: Callable[[str, object], None]
) -> None:
    clients = submitting.Clients(kept.cluster.nodes)
    gaps: dict[str, float] = {}
    guests = _start_guests(kept)
    with clients:
        _settle(kept, clients)
        with _full(kept):
            pass
        # When there is room again it has forgotten everything before.
        begins = histories.now(kept.etcd.leader(), candidates.PREFIX)
        for fault in (
            _kill,
            _stand_still,
            _lose_the_cable,
            _lose_the_cable_of_another,
            _lose_the_cable_of_etcds_leader,
            _lose_what_the_leader_sends,
            _have_the_clock_jump,
        ):
            _settle(kept, clients)
            with fault(kept) as since:
                what = f"a job to be accepted after: {fault.__name__}"
                gaps[fault.__name__.strip("_")] = _gap(clients, since, what)
        _settle(kept, clients)
    _rest(kept)

    assert _guests(kept) == guests, "an instance noticed"
    for what, gap in gaps.items():
        sys.stdout.write(f"{what}: {gap} s until a job was accepted\n")
        record_property(what, gap)
    assert max(gaps.values()) < TAKEOVER
    after = begins[-1].revision + 1
    history = begins + histories.since(kept.etcd.leader(), candidates.PREFIX, after)
    assert _every_accepted_job_is_there_and_ended(history, clients.accepted) > 100
    _each_job_ran_at_most_once(history)
    _only_leaders_wrote(begins, history[len(begins) :])
    _numbers_rise(history)
    _nodes_did_no_more_than_jobs_say(kept, history)


# Who must not notice.


def _one_on_each(cluster: clusters.Cluster) -> list[tuple[instances.Instance, machines.Machine]]:
    return [(instances.Instance(f"on-{node.name}", cluster.shared), node) for node in cluster.nodes]


def _start_guests(kept: candidates.Candidates) -> dict[str, int]:
    """Have an instance run on each node; return the processes that they are."""
    started = kept.leader().run("gnt-instance", "startup", "--all", "--force-multiple")
    assert started.returncode == 0, started.stderr
    found = _guests(kept)
    assert len(found) == len(kept.cluster.nodes)
    return found


def _guests(kept: candidates.Candidates) -> dict[str, int]:
    """Return the process of each instance that runs, as its node and the master see it."""
    listed = kept.leader().run("gnt-instance", "list", "--no-headers", "-o", "name,oper_state")
    assert listed.returncode == 0, listed.stderr
    running = [line.split()[0] for line in listed.stdout.splitlines() if line.split()[1] == "Y"]
    pids: dict[str, int] = {}
    for node in kept.cluster.nodes:
        for path in node.seen(node.layout.kvm_pid_dir).iterdir():
            if path.name in running:
                pids[path.name] = int(path.read_text())
    return pids


# What happens.

Fault = Iterator[float]
"""Yields while it holds: since when."""


@contextlib.contextmanager
def _kill(kept: candidates.Candidates) -> Fault:
    leader = kept.leader()
    kept.daemon(leader).kill()
    yield time.monotonic()
    kept.stand_by(leader)


@contextlib.contextmanager
def _stand_still(kept: candidates.Candidates) -> Fault:
    leader = kept.leader()
    daemon = kept.daemon(leader)
    daemon.pause()
    try:
        yield time.monotonic()
        kept.leader(but=leader, within=30)
    finally:
        daemon.resume()
    daemon.wait_logged("this node leads no more")


@contextlib.contextmanager
def _lose_the_cable(kept: candidates.Candidates) -> Fault:
    leader = kept.leader()
    kept.cluster.switch.unplug(leader.port)
    try:
        yield time.monotonic()
    finally:
        kept.cluster.switch.replug(leader.port)


@contextlib.contextmanager
def _lose_the_cable_of_another(kept: candidates.Candidates) -> Fault:
    leader = kept.leader()
    other = next(node for node in kept.cluster.nodes if node is not leader)
    before = kept.record()
    kept.cluster.switch.unplug(other.port)
    try:
        yield time.monotonic()
        assert kept.record() == before
    finally:
        kept.cluster.switch.replug(other.port)


@contextlib.contextmanager
def _lose_the_cable_of_etcds_leader(kept: candidates.Candidates) -> Fault:
    name = kept.etcd.leader().name
    node = next(node for node in kept.cluster.nodes if node.port == name)
    kept.cluster.switch.unplug(node.port)
    try:
        yield time.monotonic()
    finally:
        kept.cluster.switch.replug(node.port)


@contextlib.contextmanager
def _lose_what_the_leader_sends(kept: candidates.Candidates) -> Fault:
    leader = kept.leader()
    others = [node for node in kept.cluster.nodes if node is not leader]
    kept.cluster.lose(leader, *others)
    try:
        yield time.monotonic()
    finally:
        kept.cluster.find(leader, *others)


@contextlib.contextmanager
def _full(kept: candidates.Candidates) -> Iterator[None]:
    """Have etcd have no room: changes are refused, and questions answered."""
    leader = kept.leader()
    with kept.etcd.full():
        refused = leader.run("gnt-debug", "delay", "--submit", "0.01", within=40)
        assert refused.returncode == 1
        assert "no room" in refused.stderr
        read = leader.run("gnt-node", "list", "--no-headers", "-o", "name", within=40)
        assert read.stdout.split() == [node.name for node in kept.cluster.nodes]
        yield


@contextlib.contextmanager
def _have_the_clock_jump(kept: candidates.Candidates) -> Fault:
    leader = kept.leader()
    jump = leader.root / "clock"
    jump.write_text("+0")
    kept.daemon(leader).stop()
    faked = {
        "LD_PRELOAD": str(_FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(jump),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    started = leader.run("ganeti-masterd", environment=faked)
    assert started.returncode == 0, started.stderr
    assert leader.run("gnt-cluster", "master-failover").returncode == 0
    epoch = kept.record()
    for words in ("+3d", "-3d", "+0"):
        jump.write_text(words)
        done = leader.run("gnt-debug", "delay", "0.01")
        assert done.returncode == 0, done.stderr
    assert kept.record() == epoch
    yield time.monotonic()


# What holds.


def _gap(clients: submitting.Clients, since: float, what: str) -> float:
    """Wait until a job is accepted; return how long that took."""
    qemus.wait_until(lambda: clients.gap_after(since) < 60, what=what, within=40)
    return round(clients.gap_after(since), 2)


def _settle(kept: candidates.Candidates, clients: submitting.Clients) -> None:
    """Wait until all stand by or lead, and jobs are accepted."""
    for member in kept.etcd.members:
        member.wait_well(within=30)
    for node in kept.cluster.nodes:
        if not kept.daemon(node).alive:
            kept.stand_by(node)
    kept.leader(within=40)
    now = time.monotonic()
    qemus.wait_until(lambda: clients.gap_after(now) < 60, what="a job to be accepted", within=40)


def _rest(kept: candidates.Candidates) -> None:
    """Wait until no job is under way."""
    leader = kept.leader()

    def is_at_rest() -> bool:
        done = leader.run("gnt-job", "list", "--no-headers", "-o", "status")
        return done.returncode == 0 and not {"queued", "waiting", "running"} & set(
            done.stdout.split()
        )

    qemus.wait_until(is_at_rest, what="all jobs to end", within=60)


def _jobs(history: list[histories.Written]) -> dict[int, list[jobfile.Job]]:
    """Return all states that each job has had, in order."""
    found: dict[int, list[jobfile.Job]] = defaultdict(list)
    for written in history:
        number = WHERE.number(written.key.encode())
        if number is not None and written.value is not None:
            found[number].append(jobfile.decode(jobvalues.unpack(written.value), number))
    return found


def _every_accepted_job_is_there_and_ended(
    history: list[histories.Written], accepted: list[int]
) -> int:
    jobs = _jobs(history)
    gone = {WHERE.number(w.key.encode()) for w in history if w.value is None}
    assert len(set(accepted)) == len(accepted), "a number was given out twice"
    lost = [number for number in accepted if number not in jobs or number in gone]
    assert not lost
    statuses = Counter(lifecycle.status(jobs[number][-1]).value for number in accepted)
    sys.stdout.write(f"{len(accepted)} jobs were accepted: {dict(statuses)}\n")
    assert statuses.keys() <= {"success", "error"}
    assert statuses["success"] > len(accepted) * 0.8
    for number in accepted:
        last = jobs[number][-1]
        if lifecycle.status(last) is Status.ERROR:
            said = str(last.ops[0].result)
            assert "Interrupted" in said or "node" in said, said
    return len(accepted)


def _each_job_ran_at_most_once(history: list[histories.Written]) -> None:
    for number, states in _jobs(history).items():
        statuses = [lifecycle.status(state) for state in states]
        begun = [s.ops[0].exec_timestamp for s in states if s.ops[0].exec_timestamp is not None]
        assert len(set(begun)) <= 1, f"job {number} was begun at {set(begun)}"
        ended = [status for status in statuses if status in jobfile.ENDED]
        assert len(set(ended)) <= 1, f"job {number} ended as {ended}"
        if ended:
            assert statuses[statuses.index(ended[0]) :] == ended, f"job {number}: {statuses}"


def _only_leaders_wrote(begins: list[histories.Written], history: list[histories.Written]) -> None:
    """Each chain of changes belongs to one leadership, and no link was put in another's time."""
    led = next((each.created for each in begins if each.key.encode() == WHERE.leader), 0)
    owners: dict[str, int] = {}
    links = 0
    for written in history:
        key = written.key.encode()
        if key == WHERE.leader:
            led = 0 if written.value is None else written.created
        elif key in {WHERE.queue_now, WHERE.config_now} and written.value is not None:
            by = chain.decode(written.value).by.rpartition(".")[0]
            links += 1
            assert led, f"{written.key} was written at {written.revision}, when nobody led"
            assert owners.setdefault(by, led) == led, (
                f"{written.key} was written at {written.revision} by one who led before"
            )
    assert links > 100


def _numbers_rise(history: list[histories.Written]) -> None:
    epochs = [
        leased.decode_leader(_Item(written.value)).epoch  # type: ignore[arg-type]
        for written in history
        if written.key.encode() == WHERE.leader and written.value is not None
    ]
    assert epochs == sorted(set(epochs))
    assert len(epochs) > 4
    head = (WHERE.entries + entries.HEAD.encode()).decode()
    serials = [
        datafile.serial_of(written.value)
        for written in history
        if written.key == head and written.value is not None
    ]
    assert serials == sorted(serials)


class _Item:
    def __init__(self, value: bytes) -> None:
        self.value = value


def _nodes_did_no_more_than_jobs_say(
    kept: candidates.Candidates, history: list[histories.Written]
) -> None:
    """Every job calls one node once, so there were no more calls than jobs that were begun."""
    calls = sum(
        len(kept.cluster.noded(node).log_lines("call=test_delay", "answered"))
        for node in kept.cluster.nodes
    )
    begun = sum(
        any(state.ops[0].exec_timestamp for state in states) for states in _jobs(history).values()
    )
    assert 0 < calls <= begun
