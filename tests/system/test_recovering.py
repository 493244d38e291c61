"""Recovery through what goes wrong with it: itself killed, its master lost, nodes lost and back."""

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from lab import falls, guests, qemus, recoverers
from lab.cluster import clusters, instances, masters, namespaces
from pyganeti.watcher.events import Kind

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("system-recovering"),
]

PATIENCE = 30.0
MANY = 20
CROWD = [f"crowd{number}" for number in range(MANY)]
ORDER = {"db": 9, "cache": 5, "app1": 5, "web1": 0, "web2": 0}
SINGLE = (
    "killed-stopped", "killed-restarting", "killed-restarted", "again", "busy", "drained", "unseen",
    "passed", "jumpy", "failing", "moving",
)  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Leave what is left here to go with the machines."""


@pytest.fixture(scope="module")
def master() -> Iterator[masters.Master]:
    """Have three nodes: a crowd and single ones on the first two, an order on the third."""
    if why_not := namespaces.why_not() or qemus.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(3) as cluster:
        first, second, third = cluster.nodes

        def made(name: str, *tags: str) -> instances.Instance:
            return instances.Instance(name, cluster.shared, guests.stubborn(), tags=tags)

        placed = [
            *((made(name), first) for name in CROWD),
            *((made(name), second) for name in SINGLE),
            # With many tries within a short time its pauses are short.
            (made("orphan", "pyganeti:restarts:100/400"), second),
            *((made(name, f"pyganeti:start-priority:{ORDER[name]}"), third) for name in ORDER),
        ]
        with masters.started(cluster, placed) as started:
            start = ("gnt-instance", "startup", "--all", "--force-multiple")
            started.run(*start, within=120)
            yield started


def wait(holds: Callable[[], bool], what: str) -> None:
    qemus.wait_until(holds, within=PATIENCE, what=what)


def guest(master: masters.Master, name: str, *, number: int = 1) -> falls.Guest:
    return falls.Guest(master.cluster.nodes[number], name)


def watchers_jobs(master: masters.Master, name: str) -> list[str]:
    """Return how the watcher's starts of an instance have ended, or stand, the oldest first.

    One that found nothing to do is none.
    """
    listed = master.run("gnt-job", "list", "--json", "-o", "id,status,ops,opresult")
    found = []
    for row in map(json.loads, listed.splitlines()):
        [op, *_], [result, *_] = row["ops"], row["opresult"]
        is_watchers = any(entry[0] == "gnt:watcher" for entry in op.get("reason") or ())
        is_needless = row["status"] == "success" and result is not None
        if op["OP_ID"] == "OP_INSTANCE_STARTUP" and is_watchers and not is_needless:
            found += [row["status"]] if op["instance_name"] == name else []
    return found


def test_a_crowd_that_falls_at_once_is_all_back_and_each_was_started_once(
    master: masters.Master,
) -> None:
    with recoverers.running(master.node) as recoverer:
        for name in CROWD:
            guest(master, name, number=0).send(signal.SIGKILL)
        for name in CROWD:
            recoverer.wait_for(Kind.RESTARTED, name, within=60)
        told = Counter((one.instance, one.kind) for one in recoverer.told)
    for name in CROWD:
        assert master.status(name) == "running"
        assert watchers_jobs(master, name) == ["success"]
        assert told[name, Kind.RESTARTED] == told[name, Kind.STOPPED] == 1


# Killed at any point.


@pytest.mark.parametrize("kind", [Kind.STOPPED, Kind.RESTARTING, Kind.RESTARTED])
def test_one_that_is_killed_right_after_a_step_goes_on_from_there(
    master: masters.Master, kind: Kind
) -> None:
    name = f"killed-{kind}"
    with recoverers.running(master.node) as recoverer:
        guest(master, name).send(signal.SIGKILL)
        recoverer.wait_for(kind, name)
        recoverer.kill()
    with recoverers.running(master.node):
        wait(lambda: master.status(name) == "running", "it to run")
        wait(lambda: is_settled(master), "the queue to be empty")
    assert watchers_jobs(master, name) == ["success"]


def test_one_that_is_killed_again_and_again_starts_nothing_twice(master: masters.Master) -> None:
    name = "again"
    guest(master, name).send(signal.SIGKILL)
    for milliseconds in (0, 5, 10, 20, 40, 80, 160):
        recoverer = recoverers.Recoverer(master.node)
        try:
            recoverer.wait_begun()
            time.sleep(milliseconds / 1000)  # somewhere in the middle of whatever it does
        finally:
            recoverer.close()
    with recoverers.running(master.node):
        wait(lambda: master.status(name) == "running", "it to run")
        wait(lambda: is_settled(master), "the queue to be empty")
    assert watchers_jobs(master, name) == ["success"]


def is_settled(master: masters.Master) -> bool:
    """Tell whether no job is under way."""
    states = {status for [status] in master.table("gnt-job", "list", "-o", "status")}
    return states <= {"success", "error", "canceled"}


def test_a_master_daemon_that_is_killed_in_the_middle_costs_a_try_at_most(
    master: masters.Master,
) -> None:
    with recoverers.running(master.node) as recoverer:
        guest(master, "orphan").send(signal.SIGKILL)
        recoverer.wait_for(Kind.RESTARTING, "orphan")
        master.daemon.kill()
        master.daemon.start()
        wait(lambda: master.status("orphan") == "running", "it to run")
        wait(lambda: is_settled(master), "the queue to be empty")
    assert watchers_jobs(master, "orphan") in (["success"], ["error"], ["error", "success"])


# Jobs of others, and nodes.


def test_an_instance_that_a_job_is_about_is_left_to_that_job(master: masters.Master) -> None:
    ops = master.node.seen(master.node.root) / "job.json"
    delay = {"OP_ID": "OP_TEST_DELAY", "duration": 1.5, "on_master": True}
    ops.write_text(json.dumps([delay, {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "busy"}]))
    with recoverers.running(master.node) as recoverer:
        master.node.spawn("gnt-debug", "submit-job", f"{master.node.root}/job.json", log="job.log")
        wait(lambda: not is_settled(master), "the job to begin")
        guest(master, "busy").send(signal.SIGKILL)
        recoverer.wait_for(Kind.STOPPED, "busy")
        wait(lambda: is_settled(master), "the job to end")
        wait(lambda: master.status("busy") == "running", "it to run")
        assert not recoverer.of("busy", Kind.RESTARTING)
    assert watchers_jobs(master, "busy") == []


def test_on_a_drained_node_nothing_is_recovered_until_it_is_drained_no_more(
    master: masters.Master,
) -> None:
    name, node = "drained", master.cluster.nodes[1]
    master.run("gnt-node", "modify", "--drained", "yes", "--force", node.name)
    with recoverers.running(master.node) as recoverer:
        guest(master, name).send(signal.SIGKILL)
        recoverer.wait_for(Kind.STOPPED, name)
        wait(lambda: "its node is drained" in recoverer.log, "it to be put aside")
        assert master.status(name) == "ERROR_down"
        master.run("gnt-node", "modify", "--drained", "no", node.name)
        recoverer.wait_for(Kind.RESTARTED, name)
    assert master.status(name) == "running"


def test_what_fell_while_nobody_recorded_it_is_found_all_the_same(master: masters.Master) -> None:
    name, node = "unseen", master.cluster.nodes[1]
    kvmd = master.cluster.kvmd(node)
    with recoverers.running(master.node) as recoverer:
        kvmd.kill()
        guest(master, name).send(signal.SIGKILL)
        told = recoverer.wait_for(Kind.RESTARTED, name)
    assert told.cause == "unknown"
    assert master.status(name) == "running"
    assert kvmd.alive  # starting an instance starts it


def test_a_pass_puts_right_what_is_down_and_ends(master: masters.Master) -> None:
    guest(master, "passed").send(signal.SIGKILL)
    wait(lambda: master.status("passed") == "ERROR_down", "it to be down")
    recoverer = recoverers.Recoverer(master.node, once=True)
    try:
        recoverer.wait_ended()
        assert recoverer.wait_for(Kind.RESTARTED, "passed").cause == "killed"
    finally:
        recoverer.close()
    assert master.status("passed") == "running"


def gave_up(master: masters.Master, name: str) -> bool:
    [[tags]] = master.table("gnt-instance", "list", "-o", "tags", name)
    return "pyganeti:gave-up:" in tags


def test_too_many_falls_are_an_end_until_somebody_forgives(master: masters.Master) -> None:
    master.run("gnt-instance", "modify", "--restarts", "1/1h", "failing")
    with recoverers.running(master.node) as recoverer:
        guest(master, "failing").send(signal.SIGKILL)
        recoverer.wait_for(Kind.RESTARTED, "failing")
        guest(master, "failing").send(signal.SIGKILL)
        told = recoverer.wait_for(Kind.GAVE_UP, "failing")
        assert (told.attempt, told.cause) == (1, "killed")
        assert gave_up(master, "failing")
    with recoverers.running(master.node) as recoverer:
        wait(lambda: "restarting it was given up" in recoverer.log, "it to be put aside")
        assert master.status("failing") == "ERROR_down"
        master.run("gnt-instance", "modify", "--forgive", "failing")
        recoverer.wait_for(Kind.RESTARTED, "failing")
    assert master.status("failing") == "running"


def test_a_clock_that_jumps_brings_nobody_back_who_was_given_up(master: masters.Master) -> None:
    master.run("gnt-instance", "modify", "--restarts", "1/1h", "jumpy")
    year = 365 * 86400
    with recoverers.running(master.node) as recoverer:
        guest(master, "jumpy").send(signal.SIGKILL)
        recoverer.wait_for(Kind.RESTARTED, "jumpy")
        recoverer.set_clock(year)
        guest(master, "jumpy").send(signal.SIGKILL)
        recoverer.wait_for(Kind.GAVE_UP, "jumpy")
        recoverer.set_clock(-year)
        recoverer.stop()
    with recoverers.running(master.node) as recoverer:
        wait(lambda: "restarting it was given up" in recoverer.log, "it to be put aside")
        recoverer.set_clock(0)
        assert not recoverer.of("jumpy", Kind.RESTARTING)
    assert gave_up(master, "jumpy")


def test_a_node_that_comes_back_has_its_instances_by_their_priority(
    master: masters.Master,
) -> None:
    third = master.cluster.nodes[2]
    with recoverers.running(master.node) as recoverer:
        third.power_off()
        wait(lambda: master.status("db") == "ERROR_nodedown", "the node to be missed")
        master.cluster.start(third)
        master.cluster.kvmd(third).start()
        for name in ORDER:
            assert recoverer.wait_for(Kind.RESTARTED, name, within=60).cause == "host-reboot"
        told = [(one.kind, one.instance) for one in recoverer.told if one.instance in ORDER]
    for name, priority in ORDER.items():
        assert master.status(name) == "running"
        begun = told.index((Kind.RESTARTING, name))
        for higher, its in ORDER.items():
            if its > priority:
                assert told.index((Kind.RESTARTED, higher)) < begun


# Last, since it takes the first node's power.


def test_another_master_goes_on_with_what_the_first_one_tried(master: masters.Master) -> None:
    first, second, _ = master.cluster.nodes
    with recoverers.running(first) as recoverer:
        guest(master, "moving").send(signal.SIGKILL)
        recoverer.wait_for(Kind.RESTARTED, "moving")
        guest(master, "moving").send(signal.SIGKILL)
        recoverer.wait_for(Kind.STOPPED, "moving", times=2)
        first.power_off()
    done = second.run("gnt-cluster", "master-failover", within=90)
    assert done.returncode == 0, done.stderr
    with recoverers.running(second) as recoverer:
        told = recoverer.wait_for(Kind.RESTARTED, "moving")
        assert (told.attempt, told.cause) == (2, "killed")
        assert not [one for one in recoverer.told if one.instance in CROWD]
    listed = second.run("gnt-instance", "list", "--no-headers", "-o", "status", "moving")
    assert listed.stdout.strip() == "running"
