"""The cluster's settings change, and what inherits them with it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.cluster import clusters, founding, machines, namespaces, network

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("system-cluster-modify")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    if why_not := namespaces.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(1, founded=False) as made:
        done = made.on(made.master, "gnt-cluster", "init", founding.NAME, within=60)
        assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Look for nothing: the cluster is these tests' own, and goes with them."""


@pytest.fixture
def node(cluster: clusters.Cluster) -> machines.Machine:
    return cluster.master


def info(node: machines.Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(node.run("gnt-cluster", "info", "--json").stdout)
    return found


def modify(node: machines.Machine, *words: str) -> str:
    done = node.run("gnt-cluster", "modify", *words)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def test_parameters_are_inherited(node: machines.Machine) -> None:
    modify(
        node,
        *("-H", "kvm:acpi=no,serial_speed=9600", "-B", "memory=256M,vcpus=2"),
        *("-N", "link=br7", "--node-parameters", "spindle_count=2"),
        *("-D", "rbd:pool=vms", "--max-running-jobs", "7", "-C", "3"),
        *("--uid-pool", "1000-1999,3000", "--reserved-lvs", "a.*,b", "-m", "AA:BB:CC"),
        *("--user-shutdown", "no", "--prealloc-wipe-disks", "yes", "-I", "builtin"),
        *("--data-collector-interval", "cpu-avg-load=2.5", "--default-iallocator-params", "a=1"),
        *("--enabled-data-collectors", "lv=no", "--hypervisor-state", "kvm:mem_total=4096"),
        *("--file-storage-dir", "/srv/ganeti/files"),
    )

    told = info(node)
    assert told["hvparams"]["kvm"]["acpi"] is False
    assert told["hvparams"]["kvm"]["serial_speed"] == 9600
    assert told["beparams"]["default"]["maxmem"] == 256
    assert told["nicparams"]["default"]["link"] == "br7"
    assert told["ndparams"]["spindle_count"] == 2
    assert told["diskparams"]["rbd"]["pool"] == "vms"
    assert (told["max_running_jobs"], told["candidate_pool_size"]) == (7, 3)
    assert told["uid_pool"] == [[1000, 1999], [3000, 3000]]
    assert told["reserved_lvs"] == ["a.*", "b"]
    assert told["mac_prefix"] == "aa:bb:cc"
    assert told["enabled_user_shutdown"] is False
    assert told["prealloc_wipe_disks"] is True
    assert told["data_collector_interval"]["cpu-avg-load"] == 2_500_000
    assert told["enabled_data_collectors"]["lv"] is False
    assert told["file_storage_dir"] == "/srv/ganeti/files"

    modify(node, "-H", "kvm:acpi=default", "--add-uids", "5000", "--remove-uids", "3000",
           "--reserved-lvs", "", "-I", "", "--user-shutdown", "yes")  # fmt: skip
    told = info(node)
    assert told["hvparams"]["kvm"]["acpi"] is True
    assert told["uid_pool"] == [[1000, 1999], [5000, 5000]]
    assert (told["reserved_lvs"], told["default_iallocator"]) == ([], "")


def test_the_policy_changes(node: machines.Machine) -> None:
    low = "cpu-count=1,disk-count=0,disk-size=4,memory-size=4,nic-count=0,spindle-use=1"
    high = "cpu-count=4,disk-count=4,disk-size=2g,memory-size=1g,nic-count=4,spindle-use=4"
    modify(node, "--ipolicy-bounds-specs", f"min:{low}/max:{high}", "--ipolicy-std-specs",
           "memory-size=128,disk-size=1g", "--ipolicy-vcpu-ratio", "2",
           "--ipolicy-disk-templates", "file")  # fmt: skip

    policy = info(node)["ipolicy"]
    assert policy["minmax"][0]["min"]["disk-size"] == 4
    assert policy["minmax"][0]["max"]["memory-size"] == 1024
    assert policy["std"]["memory-size"] == 128
    assert (policy["vcpu-ratio"], policy["disk-templates"]) == (2.0, ["file"])


def test_the_masters_address_moves_and_its_netmask_changes(node: machines.Machine) -> None:
    def addresses(interface: str) -> str:
        return node.run("ip", "-o", "addr", "show", "dev", interface).stdout

    before = info(node)["master_netdev"]
    assert f"{founding.MASTER_ADDRESS}/32" in addresses(before)

    modify(node, "--master-netmask", "24")
    assert f"{founding.MASTER_ADDRESS}/24" in addresses(before)

    said = modify(node, "--master-netdev", "lo")
    assert "Starting the master ip on the new master netdev (lo)" in said
    assert f"{founding.MASTER_ADDRESS}/24" in addresses("lo")
    assert founding.MASTER_ADDRESS not in addresses(before)

    modify(node, "--master-netdev", before, "--master-netmask", "32")
    assert f"{founding.MASTER_ADDRESS}/32" in addresses(before)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "nothing to change"),
        (("-H", "kvm:nosuch=1"), "nosuch"),
        (("-H", "kvm:disk_cache=maybe"), "disk_cache"),
        (("-H", "kvm:kvm_path=/nowhere/qemu"), "/nowhere/qemu"),
        (("-H", "nosuch:acpi=no"), "nosuch"),
        (("-N", "mode=nosuch"), "nosuch"),
        (("-N", "mode=bridged,link="), "link"),
        (("-D", "file:size=1"), "size"),
        (("-I", "nosuch"), "Invalid default iallocator"),
        (("-m", "01:00:00"), "MAC"),
        (("--master-netmask", "64"), "netmask"),
        (("--uid-pool", "9-1"), "no range"),
        (("--uid-pool", "x"), "no user id"),
        (("--remove-uids", "77"), "not found"),
        (("--enabled-disk-templates", "plain"), "volume group"),
        (("--file-storage-dir", ""), "not permitted"),
        (("--ipolicy-disk-templates", "rbd"), "not enabled"),
        (("--ipolicy-std-specs", "memory-size=1t"), "outside"),
        (("--ipolicy-bounds-specs", "min:cpu-count=1"), "lacks"),
        (("--install-image", "nowhere"), "absolute path"),
        (("--enabled-disk-templates", "file,sharedfile,diskless,drbd", "-g", "x"), "no DRBD"),
    ],
)
def test_what_makes_no_sense_is_refused(
    node: machines.Machine, words: tuple[str, ...], says: str
) -> None:
    done = node.run("gnt-cluster", "modify", *words)

    assert done.returncode in {1, 2}
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_what_instances_have_is_not_taken_away(node: machines.Machine) -> None:
    link = info(node)["nicparams"]["default"]["link"]
    assert node.run("ip", "link", "add", link, "type", "bridge").returncode == 0
    made = node.run(
        "gnt-instance", "add", "-t", "diskless", "-o", "image", "--no-install", "--no-start",
        "--no-name-check", "--no-ip-check", "--no-conflicts-check", "--net", "0:ip=none",
        "web1.lab.example",
    )  # fmt: skip
    assert made.returncode == 0, (made.stdout, made.stderr)

    done = node.run(
        "gnt-cluster", "modify", "--enabled-disk-templates", "file,sharedfile",
        "--ipolicy-disk-templates", "file",
    )  # fmt: skip
    assert done.returncode == 1
    assert "web1.lab.example" in done.stderr
    done = node.run("gnt-cluster", "modify", "-N", "mode=routed")
    assert done.returncode == 1
    assert "routed NIC with no ip" in done.stderr


def test_a_dry_run_changes_nothing(node: machines.Machine) -> None:
    before = info(node)["max_running_jobs"]
    modify(node, "--max-running-jobs", str(before + 1), "--dry-run")
    assert info(node)["max_running_jobs"] == before


def test_the_cluster_gets_another_name_and_address(node: machines.Machine) -> None:
    address = network.address_of(101)
    hosts = f"echo {address} other.lab.example >> /etc/hosts"
    assert node.run("sh", "-c", hosts).returncode == 0
    netdev = info(node)["master_netdev"]

    for words, says in (
        ((founding.NAME,), "has changed"),
        (("nosuch.lab.example",), "does not resolve"),
        ((node.name,), "reachable on the network"),
    ):
        done = node.run("gnt-cluster", "rename", "-f", *words)
        assert done.returncode == 1
        assert says in done.stderr
    assert node.run("gnt-cluster", "rename", "other.lab.example").returncode == 13

    done = node.run("gnt-cluster", "rename", "-f", "other.lab.example")
    assert done.returncode == 0, done.stderr
    assert "renamed from 'cluster.lab.example' to 'other.lab.example'" in done.stdout
    assert info(node)["name"] == "other.lab.example"
    shown = node.run("ip", "-o", "addr", "show", "dev", netdev).stdout
    assert f" {address}/32" in shown
    assert f" {founding.MASTER_ADDRESS}/" not in shown
