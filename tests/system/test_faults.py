"""What goes wrong around a master daemon stays where it is: with the jobs that need it.

Three nodes, an instance on each of the second and the third; only the first is a candidate, so that
no job has to be copied to the others.
"""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import consoles, qemus
from lab.cluster import clusters, instances, machines, masters, nonsense

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.xdist_group("system-faults"),
]

ROOT = Path(__file__).parents[2]
WEB, DB = (f"{name}.{machines.DOMAIN}" for name in ("web", "db"))


@pytest.fixture(scope="module")
def master(cluster: clusters.Cluster) -> Iterator[masters.Master]:
    _, second, third = cluster.nodes
    placed = [
        (instances.Instance(WEB, cluster.shared), second),
        (instances.Instance(DB, cluster.shared), third),
    ]
    with masters.started(cluster, placed, candidates=1) as started:
        yield started
        started.run("gnt-instance", "shutdown", "--all", "--force-multiple", "--timeout", "0")
    for instance, _ in placed:
        for path in sorted(instance.directory.iterdir()):
            path.unlink()
        instance.directory.rmdir()


@pytest.fixture(autouse=True)
def nothing_left(cluster: clusters.Cluster, master: masters.Master) -> Iterator[None]:
    """Have all nodes there, and both instances down, for the next test."""
    yield
    for node in cluster.nodes:
        cluster.start(node)
    if not master.daemon.alive:
        master.daemon.start()
    master.run("gnt-instance", "shutdown", "--all", "--force-multiple", "--timeout", "0")


def submitted(master: masters.Master, *words: str) -> str:
    """Have a command submit its job; return the job's number."""
    return master.run(*words, "--submit", "--print-jobid").split()[-1].rstrip(".")


def state(master: masters.Master, job: str) -> str:
    [[status]] = master.table("gnt-job", "list", "-o", "status", job)
    return status


def ended(master: masters.Master, job: str) -> tuple[str, str]:
    """Wait for a job's end; return how it ended, and what is known of it."""
    master.command("gnt-job", "wait", job)
    return state(master, job), master.run("gnt-job", "info", job)


def test_a_node_that_is_down_fails_what_needs_it_and_nothing_else(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    _, second, _ = cluster.nodes
    second.power_off()
    needs_it = submitted(master, "gnt-instance", "startup", WEB)
    master.run("gnt-instance", "startup", DB)
    assert master.status(DB) == "running"
    how, why = ended(master, needs_it)
    assert how == "error"
    assert second.name in why or second.address in why
    cluster.start(second)
    master.run("gnt-instance", "startup", WEB)
    assert master.status(WEB) == "running"


def test_a_node_that_stands_still_holds_nobody_else_up(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    _, second, _ = cluster.nodes
    noded = cluster.noded(second)
    noded.pause()
    try:
        # A call that only looks may take Ganeti's minute; this one has five seconds.
        delay = ("gnt-debug", "delay", "--no-master", "-n", second.name)
        needs_it = submitted(master, *delay, "0.01")
        needs_it_longer = submitted(master, *delay, "100")
        master.run("gnt-instance", "startup", DB)
        how, why = ended(master, needs_it)
    finally:
        noded.kill()
    assert how == "error"
    assert ended(master, needs_it_longer)[0] == "error"
    cluster.start(second)
    assert second.name in why or second.address in why
    master.run("gnt-debug", "delay", "-n", second.name, "0.01")


def test_a_node_daemon_that_is_killed_fails_the_job_that_waits_for_it(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    _, second, _ = cluster.nodes
    noded = cluster.noded(second)
    needs_it = submitted(master, "gnt-debug", "delay", "-n", second.name, "--no-master", "50")
    qemus.wait_until(lambda: state(master, needs_it) == "running", what="the job to run")
    noded.kill()
    master.run("gnt-instance", "startup", DB)
    how, why = ended(master, needs_it)
    assert how == "error"
    assert second.name in why or second.address in why


@pytest.mark.parametrize(
    "words",
    ["<html>", "[1, 2, 3]", '[true, "what?"]', ""],
)
def test_a_node_that_answers_nonsense_fails_what_needs_it_and_nothing_else(
    cluster: clusters.Cluster, master: masters.Master, words: str
) -> None:
    _, second, _ = cluster.nodes
    with talking_nonsense(cluster, second, words):
        needs_it = submitted(master, "gnt-instance", "startup", WEB)
        master.run("gnt-instance", "startup", DB)
        how, why = ended(master, needs_it)
        assert master.table("gnt-instance", "list", "-o", "name,pnode", WEB) == [[WEB, second.name]]
    assert how == "error"
    assert second.name in why or second.address in why
    assert master.daemon.log_lines("Traceback") == []
    assert master.daemon.log_lines("failed unexpectedly") == []


@contextlib.contextmanager
def talking_nonsense(
    cluster: clusters.Cluster, node: machines.Machine, words: str
) -> Iterator[None]:
    """Have something else in the place of a node's daemon."""
    cluster.noded(node).stop()
    log = node.seen(node.root) / "nonsense.log"
    log.unlink(missing_ok=True)
    line = [sys.executable, "-m", "lab.cluster.nonsense", words]
    pid = node.spawn("env", f"PYTHONPATH={ROOT}", *line, log=log.name)
    try:
        qemus.wait_until(lambda: nonsense.LISTENS in log.read_text(), what="nonsense to listen")
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        cluster.start(node)


def test_instances_and_jobs_outlive_a_master_daemon_that_is_told_to_end(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    _, second, _ = cluster.nodes
    master.run("gnt-instance", "startup", WEB)
    serial = second.layout.ctrl_dir / f"{WEB}.serial"
    query_socket = master.node.layout.query_socket
    with consoles.Console(serial) as guest:
        assert guest.wait_up().count() == 1
        runs = submitted(master, "gnt-debug", "delay", "--locks", "--interruptible", "50")
        waits = submitted(master, "gnt-debug", "delay", "--locks", "0.01")
        door = master.node.seen(master.node.layout.run_dir) / "socket" / f"delay-{runs}-0"
        qemus.wait_until(door.exists, what="a job to run")
        qemus.wait_until(lambda: state(master, waits) == "waiting", what="another to wait for it")
        master.daemon.send(signal.SIGTERM)
        qemus.wait_until(lambda: not master.node.seen(query_socket).exists(), what="the end")
        knock(door)
        master.daemon.wait(lambda: not master.daemon.alive, "its end")
        assert guest.count() == 2
        assert list(cluster.call(second, "all_instances_info", ["kvm"], {})) == [WEB]
        master.daemon.start()
        assert state(master, runs) == "success"
        assert ended(master, waits)[0] == "success"
        assert master.status(WEB) == "running"
        master.daemon.kill()
        assert guest.count() == 3
        master.daemon.start()
        assert master.status(WEB) == "running"
        assert guest.count() == 4


def knock(door: Path) -> None:
    """End a delay that is interruptible."""
    with socket.socket(socket.AF_UNIX) as knocking:
        knocking.connect(str(door))
        knocking.sendall(b"!")


def test_a_broken_job_file_is_set_aside_and_said_and_the_others_load(
    master: masters.Master,
) -> None:
    kept = submitted(master, "gnt-debug", "delay", "0.01")
    assert ended(master, kept)[0] == "success"
    broken = submitted(master, "gnt-debug", "delay", "0.01")
    assert ended(master, broken)[0] == "success"
    queue = master.node.seen(master.node.layout.queue_dir)
    master.daemon.stop()
    content = (queue / f"job-{broken}").read_bytes()
    (queue / f"job-{broken}").write_bytes(content[: len(content) // 2])
    (queue / f"job-{int(broken) + 7}").write_bytes(os.urandom(100))
    master.daemon.start()
    said = master.daemon.log_lines("set aside")
    assert any(f"job={broken} " in line for line in said)
    assert any(f"job={int(broken) + 7} " in line for line in said)
    assert state(master, kept) == "success"
    assert broken not in master.run("gnt-job", "list", "--no-headers", "-o", "id").split()
    aside = [path for path in queue.rglob(f"job-{broken}*") if path.is_file()]
    assert [path.read_bytes() for path in aside] == [content[: len(content) // 2]]
    after = submitted(master, "gnt-debug", "delay", "0.01")
    assert int(after) > int(broken) + 7
    assert ended(master, after)[0] == "success"
