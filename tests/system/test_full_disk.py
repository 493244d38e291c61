"""A node whose disk is full says so, loses nothing, and goes on when there is room again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import consoles, qemus
from lab.cluster import clusters, conductor, instances, namespaces
from pyganeti.base import errors

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.xdist_group("system-full-disk")]

NAMES = ("web1", "web2")
RUNNING = {"memory": 16, "vcpus": 1, "state": 0, "time": 0}


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    """Make one node with a disk of 16 MiB."""
    why_not = namespaces.why_not() or qemus.why_not()
    if why_not:
        pytest.skip(why_not)
    with clusters.Cluster(1, disk=16) as made:
        yield made


@pytest.fixture
def guests(
    cluster: clusters.Cluster, master: conductor.Conductor
) -> Iterator[list[instances.Instance]]:
    """Make two instances, and start the first."""
    made = [instances.Instance(name, cluster.shared, nics=1) for name in NAMES]
    for instance in made:
        master.add(instance, cluster.master)
    master.start(made[0], cluster.master)
    yield made
    for instance in made:
        if master.call(cluster.master, "instance_info", instance.name, "kvm", {}):
            master.stop(instance, cluster.master, timeout=0)
        master.remove(instance, cluster.master)


def test_nothing_is_lost_while_the_disk_is_full(
    cluster: clusters.Cluster, master: conductor.Conductor, guests: list[instances.Instance]
) -> None:
    node = cluster.master
    serial = node.seen(node.layout.ctrl_dir / f"{NAMES[0]}.serial")
    names = node.seen(node.layout.ssconf("node_list"))
    before = names.read_bytes()
    files = _files(node.seen(node.layout.run_dir))
    with consoles.Console(serial) as guest:
        assert guest.wait_up().count() == 1
        with node.full():
            with pytest.raises(errors.Failure, match="No space left"):
                master.call(node, "write_ssconf_files", {"node_list": ["x" * 100_000]})
            assert names.read_bytes() == before
            with pytest.raises(errors.Failure, match="No space left"):
                master.start(guests[1], node)
            assert cluster.call(node, "all_instances_info", ["kvm"], {}) == {NAMES[0]: RUNNING}
            assert guest.count() == 2
        assert _files(node.seen(node.layout.run_dir)) <= files
        master.start(guests[1], node)
        assert guest.count() == 3
    told = cluster.call(node, "all_instances_info", ["kvm"], {})
    assert told == dict.fromkeys(NAMES, RUNNING)


def _files(directory: Path) -> set[Path]:
    return {path for path in directory.rglob("*") if not path.is_dir()}
