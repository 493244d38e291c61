"""A cluster of three nodes for each module, that every test leaves as it found it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import qemus
from lab.cluster import clusters, conductor, machines, namespaces


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    """Make three nodes, their node daemons running."""
    why_not = namespaces.why_not() or qemus.why_not()
    if why_not:
        pytest.skip(why_not)
    with clusters.Cluster(3) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_left(cluster: clusters.Cluster) -> Iterator[None]:
    """Have all nodes up for the next test, and fail the one that has left something on one."""
    yield
    for node in cluster.nodes:
        cluster.switch.replug(node.port)
        cluster.start(node)
    left = {node.port: found for node in cluster.nodes if (found := _left(node))}
    if any(cluster.shared.iterdir()):
        left["shared"] = [str(path) for path in cluster.shared.iterdir()]
    for node in cluster.nodes if left else ():
        node.power_off()
        cluster.start(node)
    assert not left


@pytest.fixture
def master(cluster: clusters.Cluster) -> conductor.Conductor:
    """Return what does to the nodes as a master would."""
    return conductor.Conductor(cluster)


def _left(node: machines.Machine) -> list[str]:
    found = [word for word in node.run("ls", "/sys/class/net").stdout.split() if "tap" in word]
    found += [f"qemu {name}" for name in qemus_on(node)]
    hypervisor = node.layout.run_dir / "kvm-hypervisor"
    for directory in (hypervisor, node.layout.run_dir / "instance-disks"):
        found += [
            str(path.relative_to(directory.parent))
            for path in directory.rglob("*")
            if not path.is_dir() and path.suffix not in {".shutdown", ".intent"}
        ]
    return found


def qemus_on(node: machines.Machine) -> list[int]:
    """Return the process numbers, on the node, of the qemus there."""
    found = []
    for inner, outer in node.namespace.processes().items():
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{outer}/cmdline").read_bytes()
            if b"qemu-system" in line.partition(b"\0")[0]:
                found.append(inner)
    return found
