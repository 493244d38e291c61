"""Instances are changed by jobs: what they are, what they have, while they are down and running."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import consoles, guests, qemus
from lab.cluster import clusters, instances, machines, masters, namespaces

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.xdist_group("system-modifying"),
]

WEB, DB = (f"{name}.{machines.DOMAIN}" for name in ("web", "db"))
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    if why_not := namespaces.why_not() or qemus.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(1) as made:
        yield made


@pytest.fixture(scope="module")
def master(cluster: clusters.Cluster) -> Iterator[masters.Master]:
    placed = [
        (instances.Instance(WEB, cluster.shared, nics=1, sector=guests.generous()), cluster.master),
        (instances.Instance(DB, cluster.shared), cluster.master),
    ]
    with masters.started(cluster, placed, file_storage_dir=str(cluster.shared / "own")) as started:
        yield started
        started.run("gnt-instance", "shutdown", "--all", "--force-multiple", "--timeout", "0")


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Look for nothing: the cluster is these tests' own, and goes with them."""


@pytest.fixture
def web(cluster: clusters.Cluster, master: masters.Master) -> Iterator[str]:
    """Have web run, and its guest be up."""
    master.run("gnt-instance", "startup", WEB)
    with console(cluster) as guest:
        guest.wait_up()
    yield WEB
    master.run("gnt-instance", "shutdown", "--timeout", "0", WEB)


def console(cluster: clusters.Cluster) -> consoles.Console:
    return consoles.Console(cluster.master.layout.ctrl_dir / f"{WEB}.serial")


def modify(master: masters.Master, name: str, *words: str) -> dict[str, Any]:
    printed = master.run("gnt-instance", "modify", "-f", "--json", *words, name)
    return dict(json.loads(printed))


def refusal(master: masters.Master, name: str, *words: str) -> str:
    done = master.command("gnt-instance", "modify", *words, name)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def config(master: masters.Master, name: str) -> dict[str, Any]:
    kept = json.loads((master.node.layout.state_dir / "config.data").read_text())
    [found] = [one for one in kept["instances"].values() if one["name"] == name]
    return {**found, "disks": [kept["disks"][uuid] for uuid in found["disks"]]}


def runtime(cluster: clusters.Cluster) -> list[Any]:
    path = cluster.master.layout.run_dir / "kvm-hypervisor" / "conf" / f"{WEB}.runtime"
    return list(json.loads(path.read_text()))


def path_of(disk: dict[str, Any]) -> Path:
    return Path(disk["logical_id"][1])


def calls_since(cluster: clusters.Cluster, length: int) -> list[str]:
    """Return the calls about devices that the node had since, each once however often it had it."""
    log = cluster.noded(cluster.master).log[length:]
    return list(dict.fromkeys(re.findall(r" call=(hotplug_\w+|bridges_exist)", log)))


def test_parameters_are_set_and_put_back(master: masters.Master) -> None:
    done = modify(master, DB, "-B", "memory=32,vcpus=2", "-H", "acpi=no", "--ignore-ipolicy")

    assert done == {"be/maxmem": 32, "be/minmem": 32, "be/vcpus": 2, "hv/acpi": False}
    kept = config(master, DB)
    assert kept["beparams"] == {"maxmem": 32, "minmem": 32, "vcpus": 2}
    assert kept["hvparams"] == {"acpi": False}
    modify(master, DB, "-B", "memory=16,-vcpus", "-H", "-acpi", "--ignore-ipolicy")
    kept = config(master, DB)
    assert kept["beparams"] == {"maxmem": 16, "minmem": 16}
    assert kept["hvparams"] == {}


def test_people_are_told_what_changed_and_when_it_counts(master: masters.Master) -> None:
    done = master.command("gnt-instance", "modify", "-B", "auto_balance=no", DB)

    assert f"Modified instance {DB}\n - be/auto_balance -> False" in done.stdout
    assert "next (re)start" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-B", "vcpus=64"], "violates policy: cpu-count value 64"),
        (["-H", "boot_order=moon"], "boot_order"),
        (["-H", "cpu_mask=0:0", "-B", "vcpus=1"], "does not match the CPU mask"),
        (["-H", "migration_port=9000"], "global"),
        (["-B", "maxmem=8", "--ignore-ipolicy"], "above maximum memory"),
        (["-B", "memory=900g", "--ignore-ipolicy"], "Not enough memory"),
        (["-o", "nosuch"], "nosuch"),
        (["--net", "7:ip=none"], "index 7"),
        (["--net", "add:link=nosuch"], "nosuch"),
        (["--net", "add:ip=pool"], "pool"),
        (["--net", "add:mac=zz"], "Invalid MAC address 'zz'"),
        (["--net", "add:colour=red"], "no parameter 'colour'"),
        (["--net", "add:name=7"], "Purely numeric"),
        (["--disk", "0:size=10g"], "use grow-disk"),
        (["--disk", "add:size=1g,mode=sideways"], "mode"),
        (["--disk", "attach:name=nosuch"], "No disk was found"),
        (["--disk", "add:size=1g,type=plain"], "not enabled"),
        (["-t", "sharedfile"], "already has disk template"),
        (["-t", "plain"], "not enabled"),
        (["-t", "diskless"], "not supported"),
        (["-m", "64"], "is not running"),
        (["--hotplug"], "No changes submitted"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    master: masters.Master, words: list[str], said: str
) -> None:
    before = config(master, DB)

    assert said in refusal(master, DB, *words)
    assert config(master, DB) == before


def test_cards_come_change_and_go(master: masters.Master) -> None:
    done = modify(master, DB, "--net", "add:ip=10.9.8.7,name=front")

    [nic] = config(master, DB)["nics"]
    assert (nic["ip"], nic["name"]) == ("10.9.8.7", "front")
    assert done["nic.0"] == (f"add:mac={nic['mac']},ip=10.9.8.7,mode=bridged,link=br0,network=None")
    assert modify(master, DB, "--net", "front:ip=none,mac=aa:00:00:77:77:77") == {
        "nic.mac/0": "aa:00:00:77:77:77",
        "nic.ip/0": None,
    }
    [changed] = config(master, DB)["nics"]
    assert (changed["uuid"], changed.get("ip")) == (nic["uuid"], None)
    assert "already in use" in refusal(master, DB, "--net", "add:mac=aa:00:00:77:77:77") or config(
        master, DB
    )["nics"] == [changed]
    assert "nic-count value 0" in refusal(master, DB, "--net", "0:remove")
    modify(master, DB, "--net", "0:remove", "--ignore-ipolicy")
    assert config(master, DB)["nics"] == []


def test_a_disk_is_added_changed_detached_attached_and_removed(master: masters.Master) -> None:
    assert "violates policy" in refusal(master, DB, "--disk", "add:size=8")
    done = modify(master, DB, "--disk", "add:size=8,name=data", "--ignore-ipolicy")

    _, disk = config(master, DB)["disks"]
    assert done == {"disk/1": "add:size=8,mode=rw"}
    assert (disk["iv_name"], disk["name"], disk["size"]) == ("disk/1", "data", 8)
    assert path_of(disk).stat().st_size == 8 * MEBIBYTE
    path_of(disk).write_bytes(b"mine".ljust(8 * MEBIBYTE, b"\0"))
    assert modify(master, DB, "--disk", "data:mode=ro") == {"disk.mode/1": "ro"}

    assert modify(master, DB, "--disk", "1:detach") == {"disk/1": "detach"}
    assert len(config(master, DB)["disks"]) == 1
    assert not path_of(disk).exists()
    assert modify(master, WEB, "--disk", "attach:name=data", "--ignore-ipolicy") == {
        "disk/1": "attach:size=8,mode=ro"
    }
    [_, moved] = config(master, WEB)["disks"]
    assert moved["uuid"] == disk["uuid"]
    assert path_of(moved).parent.name == WEB
    assert path_of(moved).read_bytes()[:4] == b"mine"
    assert f"is attached to instance {WEB}" in refusal(master, DB, "--disk", "attach:name=data")

    assert modify(master, WEB, "--disk", "data:remove") == {"disk/1": "remove"}
    assert not path_of(moved).exists()
    assert len(config(master, WEB)["disks"]) == 1


def test_disks_move_to_another_template_and_back(master: masters.Master) -> None:
    [before] = config(master, DB)["disks"]
    content = path_of(before).read_bytes()

    assert modify(master, DB, "-t", "file", "--ignore-ipolicy") == {"disk_template": "file"}

    [disk] = config(master, DB)["disks"]
    assert (disk["dev_type"], disk["iv_name"]) == ("file", "disk/0")
    assert path_of(disk).read_bytes() == content
    assert not path_of(before).exists()
    modify(master, DB, "-t", "sharedfile", "--ignore-ipolicy")
    [disk] = config(master, DB)["disks"]
    assert path_of(disk).read_bytes() == content


def test_an_instance_is_not_counted_with_and_counted_with_again(master: masters.Master) -> None:
    assert modify(master, DB, "--offline") == {"admin_state": "offline"}
    assert master.status(DB) == "ADMIN_offline"
    assert "marked to be offline" in master.command("gnt-instance", "startup", DB).stderr
    assert modify(master, DB, "--online") == {"admin_state": "down"}
    assert master.status(DB) == "ADMIN_down"


def test_a_dry_run_says_so_and_changes_nothing(master: masters.Master) -> None:
    before = config(master, DB)

    done = master.run("gnt-instance", "modify", "--dry-run", "-B", "vcpus=2", DB)

    assert "can be modified" in done
    assert config(master, DB) == before


def test_devices_come_to_a_running_guest_and_go(
    cluster: clusters.Cluster, master: masters.Master, web: str
) -> None:
    length = len(cluster.noded(cluster.master).log)

    added = modify(master, web, "--disk", "add:size=8,name=hot", "--net", "add", "--ignore-ipolicy")

    assert added["disk/1"] == "hotplug:done"
    assert added["nic.1"] == "hotplug:done"
    _, nics, _, disks = runtime(cluster)
    kept = config(master, web)
    assert [nic["uuid"] for nic in nics] == [nic["uuid"] for nic in kept["nics"]]
    assert [disk[0]["uuid"] for disk in disks] == [disk["uuid"] for disk in kept["disks"]]
    assert calls_since(cluster, length) == [
        "hotplug_supported",
        "bridges_exist",
        "hotplug_device",
    ]
    changed = modify(master, web, "--hotplug", "--net", "1:mac=aa:00:00:12:34:56")
    assert changed["nic/1"] == "hotplug:done"
    assert [nic["mac"] for nic in runtime(cluster)[1]][-1] == "aa:00:00:12:34:56"

    gone = modify(master, web, "--disk", "hot:remove", "--net", "1:remove")

    assert gone == {"disk/1": "hotplug:done", "NIC/1": "hotplug:done"}
    _, nics, _, disks = runtime(cluster)
    assert (len(nics), len(disks)) == (1, 1)
    assert not path_of(kept["disks"][1]).exists()
    assert master.status(web) == "running"
    with console(cluster) as guest:
        assert guest.count() == 1


def test_a_disk_of_a_running_guest_stays_unless_it_is_plugged_out(
    master: masters.Master, web: str
) -> None:
    assert "running instance without using hotplug" in refusal(
        master, web, "--no-hotplug", "--disk", "0:remove"
    )


def test_a_card_of_a_running_guest_is_exchanged_only_if_that_is_said(
    cluster: clusters.Cluster, master: masters.Master, web: str
) -> None:
    length = len(cluster.noded(cluster.master).log)
    done = master.command("gnt-instance", "modify", "--net", "0:ip=10.1.2.3", web)

    assert done.returncode == 0
    assert "--hotplug exchanges it" in done.stderr
    assert "hotplug_device" not in calls_since(cluster, length)
    asked = master.command("gnt-instance", "modify", "--hotplug", "--net", "0:ip=none", web)
    assert asked.returncode == 13
    modify(master, web, "--net", "0:ip=none", "--no-hotplug")


def test_a_running_guest_gets_less_memory_and_more(
    cluster: clusters.Cluster, master: masters.Master, web: str
) -> None:
    assert "between 16 and 16" in refusal(master, web, "-m", "12")
    modify(master, web, "-B", "minmem=8", "--ignore-ipolicy")

    assert modify(master, web, "-m", "16") == {"runtime_memory": 16}
    modify(master, web, "-B", "minmem=16", "--ignore-ipolicy")


def rename(master: masters.Master, old: str, new: str) -> str:
    return master.run("gnt-instance", "rename", "--no-name-check", old, new)


def test_an_instance_gets_another_name_and_its_files_with_it(master: masters.Master) -> None:
    [before] = config(master, DB)["disks"]
    new = f"other.{machines.DOMAIN}"

    assert "is now" in rename(master, DB, new)

    [disk] = config(master, new)["disks"]
    assert path_of(disk) == path_of(before).parent.with_name(new) / path_of(before).name
    assert path_of(disk).exists()
    assert not path_of(before).parent.exists()
    assert master.table("gnt-instance", "list", "-o", "name") == [[new], [WEB]]
    master.run("gnt-instance", "startup", new)
    assert master.status(new) == "running"
    assert "marked to be up" in master.command("gnt-instance", "rename", new, DB).stderr
    master.run("gnt-instance", "shutdown", "--timeout", "0", new)
    rename(master, new, DB)


def test_a_rename_that_was_cut_short_is_done_by_asking_again(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    [before] = config(master, DB)["disks"]
    new = f"half.{machines.DOMAIN}"
    # As a daemon leaves it that is killed when the node has done its part.
    folder = path_of(before).parent
    cluster.call(cluster.master, "file_storage_dir_rename", str(folder), str(folder.with_name(new)))

    rename(master, DB, new)

    [disk] = config(master, new)["disks"]
    assert path_of(disk).exists()
    rename(master, new, DB)


def test_a_name_that_somebody_has_or_that_resolves_to_nothing_is_refused(
    master: masters.Master,
) -> None:
    taken = master.command("gnt-instance", "rename", "--no-name-check", DB, WEB)
    unknown = master.command("gnt-instance", "rename", DB, "nosuch.invalid")
    strange = master.command("gnt-instance", "rename", "--no-name-check", DB, "a/b")

    assert (taken.returncode, unknown.returncode, strange.returncode) == (1, 1, 1)
    assert "is already in the cluster" in taken.stderr
    assert "--no-name-check" in unknown.stderr
    assert "Invalid name" in strange.stderr
    assert master.table("gnt-instance", "list", "-o", "name") == [[DB], [WEB]]
