"""Instances are changed by jobs: what they are, what they have, while they are down and running."""

import json
import os
import re
import shutil
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
DEBIAN = "/usr/share/ganeti/3.0/gnt-instance"


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    if why_not := namespaces.why_not() or qemus.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(2) as made:
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
        (["--hotplug"], "nothing to change"),
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


def test_a_card_gets_an_address_of_a_network_and_gives_it_back(master: masters.Master) -> None:
    master.run("gnt-network", "add", "--network", "198.51.100.0/29", "lan")
    master.run("gnt-network", "connect", "-N", "mode=bridged,link=br0", "lan")

    done = modify(master, DB, "--net", "add:network=lan,ip=pool")

    [nic] = config(master, DB)["nics"]
    assert nic["ip"] == "198.51.100.1"
    assert done["nic.0"].endswith("ip=198.51.100.1,mode=bridged,link=br0,network=lan")
    for command in ("disconnect", "remove"):
        used = master.command("gnt-network", command, "lan")
        assert used.returncode == 1
    assert "belongs to network lan" in refusal(master, WEB, "--net", "add:ip=198.51.100.3")
    modify(master, DB, "--net", "0:remove", "--ignore-ipolicy")
    [[taken]] = master.table("gnt-network", "list", "-o", "map", "lan")
    assert taken == "X......X"
    master.run("gnt-network", "disconnect", "lan")
    master.run("gnt-network", "remove", "lan")


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


def test_a_shell_offers_instances_and_their_disks(master: masters.Master) -> None:
    asked = ("COMP_CWORD=2", "_GNT_INSTANCE_COMPLETE=bash_complete")
    names = master.run("env", *asked, "COMP_WORDS=gnt-instance modify w", "gnt-instance")
    asked = ("COMP_CWORD=3", "_GNT_INSTANCE_COMPLETE=bash_complete")
    disks = master.run("env", *asked, f"COMP_WORDS=gnt-instance grow-disk {DB} ", "gnt-instance")

    assert names.split() == [f"plain,{WEB}"]
    assert disks.split() == ["plain,0"]


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
    for action in ("remove", "detach"):
        assert "running instance without using hotplug" in refusal(
            master, web, "--no-hotplug", "--disk", f"0:{action}"
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


def test_debians_own_command_changes_and_renames_instances(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    if not Path(DEBIAN).exists():
        pytest.skip("needs Debian's package ganeti-3.0")
    # Ganeti wants the root of a node among several to be named after it.
    node = cluster.master
    root = cluster.place / "named" / node.name
    root.parent.mkdir()
    root.symlink_to(node.root)
    theirs = ("env", f"GANETI_ROOTDIR={root}", DEBIAN)

    done = master.run(
        *theirs, "modify", "-B", "vcpus=2", "--disk", "add:size=1G,name=more",
        "--net", "add:ip=10.7.7.7", DB,
    )  # fmt: skip

    assert " - be/vcpus -> 2" in done
    assert " - disk/1 -> add:size=1024,mode=rw" in done
    assert config(master, DB)["nics"][0]["ip"] == "10.7.7.7"
    master.run(*theirs, "modify", "--net", "0:ip=none", "--disk", "more:mode=ro", DB)
    assert config(master, DB)["disks"][1]["mode"] == "ro"
    # Without a name that resolves it would ask on a terminal whether that is meant.
    new = cluster.nodes[1].name
    master.run(*theirs, "rename", "--no-ip-check", DB, new)
    rename(master, new, DB)
    master.run(
        *theirs, "modify", "--ignore-ipolicy", "-B", "vcpus=default", "--net", "0:remove",
        "--disk", "1:remove", DB,
    )  # fmt: skip
    kept = config(master, DB)
    assert (len(kept["disks"]), kept["nics"], "vcpus" in kept["beparams"]) == (1, [], False)


def test_an_instance_belongs_to_another_node_from_now_on(
    cluster: clusters.Cluster, master: masters.Master, web: str
) -> None:
    first, second = (node.name for node in cluster.nodes)

    assert "still running" in refusal(master, web, "--new-primary", second)
    assert modify(master, DB, "--new-primary", second) == {"primary_node": second}
    assert master.table("gnt-instance", "list", "-o", "pnode", DB) == [[second]]
    modify(master, DB, "--new-primary", first)


def test_a_disk_that_the_guest_has_let_go_of_already_is_removed_by_asking_again(
    cluster: clusters.Cluster, master: masters.Master, web: str
) -> None:
    modify(master, web, "--disk", "add:size=8", "--ignore-ipolicy")
    kept = config(master, web)
    # As a master daemon leaves it that is killed right after the node's answer.
    described = [one for one in runtime(cluster)[3] if one[0]["uuid"] == kept["disks"][1]["uuid"]]
    told = instances.Instance(WEB, cluster.shared, nics=1).wire(cluster.master)
    cluster.call(
        cluster.master, "hotplug_device", {**told, "uuid": kept["uuid"]}, "hotremove", "disk",
        described[0][0], None, 1,
    )  # fmt: skip

    # Without -f: that would take the disk whatever the guest says.
    printed = master.run("gnt-instance", "modify", "--disk", "1:remove", web)

    assert "does not have it any more" in printed
    assert len(config(master, web)["disks"]) == 1
    assert not path_of(kept["disks"][1]).exists()


def test_a_disk_that_is_gone_or_moved_already_is_forgotten_by_asking_again(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    modify(
        master, DB, "--disk", "add:size=8,name=one", "--disk", "-1:add,size=8,name=two",
        "--ignore-ipolicy",
    )  # fmt: skip
    _, one, two = config(master, DB)["disks"]
    # As a master daemon leaves them that is killed when the node has done its part.
    cluster.call(cluster.master, "blockdev_remove", one)
    elsewhere = path_of(two).parents[1] / path_of(two).name
    cluster.call(cluster.master, "blockdev_rename", [[two, ["loop", str(elsewhere)]]])

    assert modify(master, DB, "--disk", "one:remove") == {"disk/1": "remove"}
    assert modify(master, DB, "--disk", "two:detach") == {"disk/1": "detach"}

    assert len(config(master, DB)["disks"]) == 1
    modify(master, DB, "--disk", "attach:name=two", "--ignore-ipolicy")
    modify(master, DB, "--disk", "two:remove")
    assert not elsewhere.exists()


def test_a_disk_that_cannot_be_made_is_nowhere(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    before = config(master, DB)
    folder = path_of(before["disks"][0]).parent
    there = sorted(folder.iterdir())

    # More than any file can have.
    said = refusal(master, DB, "--disk", "add:size=16000000t", "--ignore-ipolicy")

    assert "Can't create" in said or "cannot have a size" in said
    assert config(master, DB)["disks"] == before["disks"]
    assert sorted(folder.iterdir()) == there


def test_hooks_hear_of_an_instance_as_it_will_be_and_may_forbid_it(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    node = cluster.master
    heard, folder = hook(node, "pre", "exit 0")

    modify(master, DB, "-B", "vcpus=3", "--net", "add:ip=10.1.1.1", "--ignore-ipolicy")

    said = dict(line.split("=", 1) for line in heard.read_text().splitlines() if "=" in line)
    assert said["GANETI_HOOKS_PATH"] == "instance-modify"
    assert said["GANETI_INSTANCE_BE_vcpus"] == "3"
    assert said["GANETI_INSTANCE_NIC0_IP"] == "10.1.1.1"
    assert said["GANETI_INSTANCE_NIC0_MAC"] == config(master, DB)["nics"][0]["mac"]
    hook(node, "pre", "echo not today; exit 1")
    assert "not today" in refusal(master, DB, "-B", "vcpus=4", "--ignore-ipolicy")
    assert config(master, DB)["beparams"]["vcpus"] == 3
    shutil.rmtree(folder)
    modify(master, DB, "-B", "-vcpus", "--net", "0:remove", "--ignore-ipolicy")


def hook(node: machines.Machine, phase: str, does: str) -> tuple[Path, Path]:
    """Have a node run a script around changes; return where it writes its surroundings."""
    folder = node.layout.config_dir / "hooks" / f"instance-modify-{phase}.d"
    folder.mkdir(parents=True, exist_ok=True)
    heard = node.layout.state_dir / "heard"
    script = folder / "10-hear"
    script.write_text(f"#!/bin/sh\nenv >{heard}\n{does}\n")
    script.chmod(0o755)
    return heard, folder


def test_a_change_that_a_kill_cut_short_is_undone_or_done_by_asking_again(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    node = cluster.master
    before = config(master, DB)
    gate = node.layout.state_dir / "gate"
    os.mkfifo(gate)
    # It opens when somebody writes: the job stands still after its checks.
    _, folder = hook(node, "pre", f"echo standing >{gate}; read go <{gate}")
    words = ("gnt-instance", "modify", "-B", "vcpus=2", "--ignore-ipolicy", "--submit", DB)

    number = master.run(*words).split()[-1]
    assert gate.read_text() == "standing\n"
    master.daemon.kill()
    gate.write_text("go\n")
    shutil.rmtree(folder)
    gate.unlink()
    master.daemon.start()

    waited = master.command("gnt-job", "wait", number)
    assert waited.returncode == 1
    assert config(master, DB)["beparams"] == before["beparams"]
    assert modify(master, DB, "-B", "vcpus=2", "--ignore-ipolicy") == {"be/vcpus": 2}
    modify(master, DB, "-B", "-vcpus", "--ignore-ipolicy")
