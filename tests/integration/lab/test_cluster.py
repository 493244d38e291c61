"""The laboratory's cluster is several machines, and nothing is left of it, however it ends."""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import qemus
from lab.cluster import clusters, namespaces, network, services
from pyganeti.base import errors

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("lab-cluster")]

ROOT = Path(qemus.__file__).parents[1]
MARK = "PYGANETI_CLUSTER_TEST"
ENDLESS = """
import time
from lab.cluster import clusters
with clusters.Cluster(2) as cluster:
    print(cluster.place, flush=True)
    time.sleep(99)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    """Make two machines with little disks, not founded."""
    if why_not := namespaces.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(2, disk=8, founded=False) as made:
        yield made


def marked(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_program_that_is_ended(number: signal.Signals) -> None:
    if why_not := namespaces.why_not():
        pytest.skip(why_not)
    mark = secrets.token_hex(8)
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        cwd=ROOT,
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as program:
        assert program.stdout is not None
        place = Path(program.stdout.readline().strip())
        assert len([line for line in marked(mark) if "ganeti-noded" in line]) == 2
        os.killpg(program.pid, number)
        program.wait(30)
    qemus.wait_until(lambda: not marked(mark), what="all processes to go")
    qemus.wait_until(lambda: not place.exists(), what=f"{place} to go")
    assert str(place) not in Path("/proc/self/mountinfo").read_text()


def test_machines_have_names_clocks_and_processes_of_their_own(cluster: clusters.Cluster) -> None:
    first, second = cluster.nodes
    assert first.run("hostname").stdout == f"{first.name}\n"
    assert second.name in first.run("getent", "hosts", second.port).stdout
    assert first.run("sh", "-c", "echo $GANETI_ROOTDIR").stdout == f"{first.root}\n"
    uptime = float(second.run("cut", "-d ", "-f1", "/proc/uptime").stdout)
    assert uptime < 120
    assert min(second.namespace.processes()) == 1
    assert len(second.namespace.processes()) == 1


def test_switched_off_everything_there_ends_and_the_next_boot_is_another(
    cluster: clusters.Cluster,
) -> None:
    second = cluster.nodes[1]
    boot_id = "/proc/sys/kernel/random/boot_id"
    before = second.run("cat", boot_id).stdout
    sleeping = second.spawn("sleep", "99", log="slept")
    second.run("sh", "-c", "cd $GANETI_ROOTDIR && mkdir -p var/run/ganeti && echo >kept")
    going = second.namespace.processes()
    assert sleeping in going.values()
    second.power_off()
    assert not second.is_on
    assert not any(Path(f"/proc/{outer}").exists() for outer in going.values())
    cluster.start(second)
    assert second.run("cat", boot_id).stdout != before
    assert re.fullmatch(r"[0-9a-f-]{36}\n", before)
    assert second.seen(second.root / "kept").exists()
    assert not second.seen(second.layout.run_dir).exists()


def test_a_disk_can_be_full_and_is_not_afterwards(cluster: clusters.Cluster) -> None:
    first = cluster.nodes[0]
    with first.full():
        tried = first.run("tee", first.root / "file", given="word")
        assert "No space left" in tried.stderr
    assert first.run("sh", "-c", "echo word >$GANETI_ROOTDIR/file").returncode == 0
    assert first.seen(first.root / "file").read_text() == "word\n"


def test_frozen_machines_stand_still_and_go_on(cluster: clusters.Cluster) -> None:
    first = cluster.nodes[0]
    first.spawn("sh", "-c", "while echo tick; do sleep 0.01; done", log="ticks")
    ticks = first.seen(first.root / "ticks")

    def grows(within: float) -> bool:
        before = ticks.stat().st_size
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if ticks.stat().st_size > before:
                return True
            time.sleep(0.01)
        return False

    assert grows(5)
    with first.frozen():
        grows(0.1)  # what was under way
        assert not grows(0.2)
    assert grows(5)
    first.power_off()
    cluster.start(first)


def test_a_daemon_that_does_not_start_says_why(cluster: clusters.Cluster) -> None:
    with pytest.raises(services.NotStarted, match=r"server\.pem is missing"):
        cluster.noded(cluster.nodes[0]).start()
    assert not cluster.noded(cluster.nodes[0]).alive


def test_sockets_are_made_in_another_network_and_only_there(cluster: clusters.Cluster) -> None:
    own = Path("/proc/thread-self/ns/net").readlink()
    with cluster.room.entered():
        assert Path("/proc/thread-self/ns/net").readlink() != own
    assert Path("/proc/thread-self/ns/net").readlink() == own
    with pytest.raises(errors.Unavailable, match="refused"):
        cluster.call(cluster.nodes[0], "version")


def test_a_thing_that_ip_refuses_is_said(cluster: clusters.Cluster) -> None:
    with pytest.raises(namespaces.NotMade, match="nonsense"):
        cluster.nodes[0].namespace.configure(["link set nonsense up"])
    assert network.BRIDGE in cluster.nodes[0].run("ip", "-br", "link").stdout
