"""Instances are made whole or not at all, whatever their node says."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import answeringnodes, clusters, masterparts
from pyganeti.base import errors
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance

NAME = "web1.example.com"
NODE = "node1.example.com"
REMOVE = "blockdev_remove"
OS = "noop"
Opened = tuple[masterparts.Parts, answeringnodes.Answering]


def refused(*_: Any) -> Any:
    """Answer as a node does that cannot."""
    raise errors.Failure("the disk is full")


@pytest.fixture
def snapshot() -> Snapshot:
    return clusters.open_to_instances()


@pytest.fixture
async def opened(tmp_path: Path, snapshot: Snapshot) -> AsyncIterator[Opened]:
    async with (
        answeringnodes.started(snapshot.nodes.values()) as nodes,
        nodes.asking() as asking,
        masterparts.opened(tmp_path, snapshot, nodes=asking) as parts,
    ):
        nodes.play(snapshot)
        nodes.obey(snapshot)
        yield parts, nodes


def created(**given: Any) -> instance.InstanceCreate:
    made = instance.InstanceCreate(
        mode="create",
        instance_name=NAME,
        pnode=NODE,
        disk_template="file",
        disks=[{"size": 1024}, {"size": 2048}],
        nics=[{}],
        os_type=OS,
        beparams={"memory": 128},
        name_check=False,
        ip_check=False,
    )
    return msgspec.structs.replace(made, **given)


def removals(nodes: answeringnodes.Answering) -> list[str]:
    return [arguments[0]["iv_name"] for _, call, arguments in nodes.asked if call == REMOVE]


async def test_what_cannot_be_made_leaves_nothing(opened: Opened) -> None:
    parts, nodes = opened
    ports = parts.config.current.cluster.tcpudp_port_pool

    def second_fails(disk: dict[str, Any], *_: Any) -> str:
        return refused() if disk["iv_name"] == "disk/1" else ""

    nodes.say(NODE, "blockdev_create", second_fails)
    with pytest.raises(errors.Failure, match="the disk is full"):
        await parts.run(created())

    now = parts.config.current
    assert not now.instances
    assert not now.disks
    assert len(now.cluster.tcpudp_port_pool) == len(ports) + 1
    assert removals(nodes) == ["disk/0", "disk/1"]
    assert nodes.calls("file_storage_dir_remove") == [NODE]


async def test_a_disk_that_was_never_made_need_not_be_removed(opened: Opened) -> None:
    parts, nodes = opened
    nodes.say(NODE, "blockdev_create", refused)
    nodes.say(NODE, REMOVE, refused)

    with pytest.raises(errors.Failure, match="the disk is full"):
        await parts.run(created())

    assert not parts.config.current.instances


async def test_a_disk_that_may_have_been_made_has_to_be_removed(opened: Opened) -> None:
    parts, nodes = opened
    nodes.say(NODE, "blockdev_create", lambda *_: 1 / 0)
    nodes.say(NODE, REMOVE, refused)

    with pytest.raises(errors.Failure, match="HTTP 500"):
        await parts.run(created())

    assert len(parts.config.current.instances) == 1


@pytest.mark.parametrize("call", ["os_diagnose", "instance_os_add", "blockdev_getmirrorstatus"])
async def test_an_os_that_cannot_be_installed_leaves_nothing(opened: Opened, call: str) -> None:
    parts, nodes = opened
    nodes.say(NODE, call, refused)

    with pytest.raises(errors.Failure, match="the disk is full"):
        await parts.run(created())

    assert not parts.config.current.instances
    assert removals(nodes) == ["disk/0", "disk/1"]
    assert not nodes.calls("instance_start")


async def test_disks_that_cannot_be_removed_keep_their_instance_to_be_removed_later(
    opened: Opened,
) -> None:
    parts, nodes = opened
    nodes.say(NODE, "instance_os_add", refused)
    nodes.say(NODE, REMOVE, refused)

    job = await parts.submit(created())
    assert await parts.ended(job) == "error"
    assert any(f"gnt-instance remove {NAME}" in line for line in await parts.said(job))
    assert parts.config.current.instance(NAME).admin_state == "down"

    with pytest.raises(errors.Failure, match="Can't remove instance's disks"):
        await parts.run(instance.InstanceRemove(instance_name=NAME))
    assert parts.config.current.instances
    nodes.say(NODE, REMOVE, None)
    await parts.run(instance.InstanceRemove(instance_name=NAME))
    assert not parts.config.current.instances


async def test_failures_that_are_to_be_ignored_keep_no_instance(opened: Opened) -> None:
    parts, nodes = opened
    await parts.run(created())
    nodes.say(NODE, REMOVE, refused)
    nodes.say(NODE, "instance_shutdown", refused)

    with pytest.raises(errors.Failure, match="Could not shutdown instance"):
        await parts.run(instance.InstanceRemove(instance_name=NAME))
    assert parts.config.current.instances
    await parts.run(instance.InstanceRemove(instance_name=NAME, ignore_failures=True))
    assert not parts.config.current.instances
    assert not parts.config.current.disks


async def test_an_instance_that_does_not_start_stays_and_is_wanted_up(opened: Opened) -> None:
    parts, nodes = opened
    nodes.say(NODE, "instance_start", refused)

    with pytest.raises(errors.Failure, match="Could not start instance"):
        await parts.run(created())

    assert parts.config.current.instance(NAME).admin_state == "up"
    assert not removals(nodes)


@pytest.mark.parametrize(
    "call",
    [
        "file_storage_dir_create",
        "blockdev_create",
        "blockdev_getmirrorstatus",
        "os_diagnose",
        "instance_os_add",
        "instance_metadata_modify",
        "instance_start",
    ],
)
async def test_a_job_that_is_killed_anywhere_leaves_an_instance_that_can_be_removed(
    opened: Opened, call: str
) -> None:
    parts, nodes = opened
    nodes.hang(NODE, call)
    job = await parts.submit(created())
    async with asyncio.timeout(30):
        while not nodes.calls(call):  # noqa: ASYNC110 - nodes tell nobody
            await asyncio.sleep(0.01)
    assert (await parts.queue.cancel(job, kill=True))[0]
    assert await parts.ended(job) in {"canceled", "error"}
    nodes.go_on()

    wanted = "up" if call == "instance_start" else "down"
    assert parts.config.current.instance(NAME).admin_state == wanted
    await parts.run(instance.InstanceRemove(instance_name=NAME))
    assert not parts.config.current.instances
    assert removals(nodes) == ["disk/0", "disk/1"]
    await parts.run(created())
    assert parts.config.current.instance(NAME).admin_state == "up"


@pytest.mark.parametrize("call", ["instance_shutdown", REMOVE, "file_storage_dir_remove"])
async def test_a_removal_that_is_killed_anywhere_can_be_done_again(
    opened: Opened, call: str
) -> None:
    parts, nodes = opened
    await parts.run(created())
    nodes.hang(NODE, call)
    job = await parts.submit(instance.InstanceRemove(instance_name=NAME))
    async with asyncio.timeout(30):
        while not nodes.calls(call):  # noqa: ASYNC110 - nodes tell nobody
            await asyncio.sleep(0.01)
    assert (await parts.queue.cancel(job, kill=True))[0]
    assert await parts.ended(job) in {"canceled", "error"}
    nodes.go_on()

    assert len(parts.config.current.instance(NAME).disks) == 2
    await parts.run(instance.InstanceRemove(instance_name=NAME))
    assert not parts.config.current.instances


async def test_disks_are_wiped_where_the_cluster_wants_that(opened: Opened) -> None:
    parts, nodes = opened
    await parts.config.change(
        lambda draft: draft.put(msgspec.structs.replace(draft.cluster, prealloc_wipe_disks=True))
    )
    nodes.say(NODE, "blockdev_wipe", None)

    await parts.run(created())

    wiped = [
        (told["iv_name"], offset, size) for _, call, (told, offset, size) in _only(nodes, WIPE)
    ]
    for name, whole in (("disk/0", 1024), ("disk/1", 2048)):
        pieces = [(offset, size) for disk, offset, size in wiped if disk == name]
        assert [offset for offset, _ in pieces] == [
            sum(size for _, size in pieces[:index]) for index in range(len(pieces))
        ]
        assert sum(size for _, size in pieces) == whole


WIPE = "blockdev_wipe"
PLAIN: dict[str, Any] = {"disk_template": "plain", "ignore_ipolicy": True}


def _only(nodes: answeringnodes.Answering, wanted: str) -> list[tuple[str, str, list[Any]]]:
    return [asked for asked in nodes.asked if asked[1] == wanted]


async def test_a_volume_group_without_room_gets_no_disks(opened: Opened) -> None:
    parts, nodes = opened
    cluster = msgspec.structs.replace(parts.config.current.cluster, volume_group_name="xenvg")
    await parts.config.change(lambda draft: draft.put(cluster))
    room = {"type": "lvm-vg", "name": "xenvg", "storage_free": 3000, "storage_size": 9000}
    memory = {"memory_total": 9000, "memory_free": 9000, "memory_dom0": 0}
    nodes.say(NODE, "node_info", ["boot", [room], [memory]])

    with pytest.raises(errors.Failure, match="vg xenvg: required 3072 MiB, available 3000 MiB"):
        await parts.run(created(**PLAIN))
    await parts.run(created(**PLAIN, disks=[{"size": 3000}]))

    [disk] = parts.config.current.disks.values()
    assert disk.logical_id[0] == "xenvg"


async def test_volumes_that_are_there_are_adopted_as_they_are(opened: Opened) -> None:
    parts, nodes = opened
    cluster = msgspec.structs.replace(parts.config.current.cluster, volume_group_name="xenvg")
    await parts.config.change(lambda draft: draft.put(cluster))
    nodes.say(NODE, "vg_list", {"xenvg": 9000})
    volumes = {"xenvg/data": ["2048.00", False, False], "xenvg/used": ["9.00", False, True]}
    nodes.say(NODE, "lv_list", volumes)

    for name, words in (("used", "Online logical volumes"), ("nosuch", "Missing logical volume")):
        with pytest.raises(errors.Failure, match=words):
            await parts.run(created(**PLAIN, disks=[{"adopt": name}]))
    nodes.say(NODE, "instance_start", refused)
    with pytest.raises(errors.Failure, match="Could not start"):
        await parts.run(created(**PLAIN, disks=[{"adopt": "data"}]))

    [disk] = parts.config.current.disks.values()
    assert (disk.logical_id, disk.size) == (("xenvg", "data"), 2048)
    assert not nodes.calls("blockdev_create")
    assert not nodes.calls("instance_os_add")
    assert not nodes.calls(REMOVE)
    with pytest.raises(errors.Failure, match="xenvg/data is a disk of another instance"):
        await parts.run(created(**PLAIN, instance_name="web2", disks=[{"adopt": "data"}]))


async def test_a_dry_run_makes_nothing_and_says_where_it_would_be(opened: Opened) -> None:
    parts, nodes = opened

    assert await parts.run(created(dry_run=True, pnode=None)) == [[NODE]]

    assert not parts.config.current.instances
    assert not nodes.calls("blockdev_create")
    assert nodes.calls("hooks_runner")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"instance_name": "no name"}, "Invalid name"),
        ({"ip_check": True}, "without a name check"),
        ({"mode": "import"}, "mode import cannot be carried out"),
        ({"os_type": None}, "No guest OS"),
        ({"disk_template": "rbd"}, "not enabled in cluster"),
        ({"hvparams": {"nonsense": 1}}, "Unknown hypervisor parameter 'nonsense'"),
        ({"hvparams": {"migration_port": 1}}, "modify them at cluster level: migration_port"),
        ({"beparams": {"memory": "much"}}, "maxmem"),
        ({"disks": [{"size": 0}]}, "Invalid disk size"),
        ({"disks": [{"mode": "rw"}]}, "Missing disk size"),
        ({"disks": [{"size": 1}] * 17}, "at most 16 disks"),
        ({"nics": [{"mac": "zz"}]}, "Invalid MAC address"),
        ({"nics": [{"ip": "1.2.3"}]}, "Invalid IP address"),
        ({"nics": [{"vlan": "a"}]}, "VLAN"),
        ({"nics": [{"color": "red"}]}, "color"),
        ({"tags": ["a b"]}, "invalid characters"),
        ({"pnode": "nosuch"}, "'nosuch' not known"),
        ({"iallocator": "hail"}, "both, iallocator and node"),
        ({"beparams": {"memory": 1 << 20}}, "violates policy: memory-size"),
        ({"beparams": {"memory": 1 << 15}}, "Not enough memory"),
        ({"forthcoming": True}, "forthcoming"),
        ({"group_name": "nosuch"}, "'nosuch' not known"),
        ({"disks": [{"adopt": "a"}, {"size": 1}]}, "all disks are adopted or none"),
    ],
)
async def test_what_makes_no_sense_is_said_before_anything_is_done(
    opened: Opened, change: dict[str, Any], words: str
) -> None:
    parts, nodes = opened

    with pytest.raises(errors.Failure, match=words):
        await parts.run(created(**change))

    assert not parts.config.current.instances
    assert not nodes.calls("blockdev_create")


async def test_a_second_node_is_for_mirrored_disks_alone(opened: Opened) -> None:
    parts, _ = opened

    job = await parts.submit(created(snode="node2.example.com"))

    assert await parts.ended(job) == "success"
    assert any("Secondary node will be ignored" in line for line in await parts.said(job))


async def test_a_name_is_given_once(opened: Opened) -> None:
    parts, _ = opened
    jobs = [await parts.submit(created()) for _ in range(3)]

    ends = sorted([await parts.ended(job) for job in jobs])

    assert ends == ["error", "error", "success"]
    assert len(parts.config.current.instances) == 1


async def test_many_at_once_are_spread_over_the_nodes(opened: Opened) -> None:
    parts, _ = opened
    names = [f"web{number}" for number in range(9)]
    jobs = [await parts.submit(created(instance_name=name, pnode=None)) for name in names]

    assert [await parts.ended(job) for job in jobs] == ["success"] * 9

    now = parts.config.current
    assert {node.name: len(now.instances_on(node)) for node in now.nodes.values()} == {
        node.name: 3 for node in now.nodes.values()
    }
    macs = {nic.mac for one in now.instances.values() for nic in one.nics}
    ports = {one.network_port for one in now.instances.values()}
    assert len(macs) == len(ports) == 9


async def test_addresses_come_from_the_networks_pool_and_go_back(
    tmp_path: Path, snapshot: Snapshot
) -> None:
    with_network = clusters.furnished()
    cluster = msgspec.structs.replace(snapshot.cluster, highest_used_port=11005)
    ready = msgspec.structs.replace(with_network, cluster=cluster)
    [network] = ready.networks.values()
    async with (
        answeringnodes.started(ready.nodes.values()) as nodes,
        nodes.asking() as asking,
        masterparts.opened(tmp_path, ready, nodes=asking) as parts,
    ):
        nodes.play(ready)
        nodes.obey(ready)
        before = parts.config.current.networks[network.uuid].reservations
        card = {"network": network.name, "ip": "pool"}
        names = [f"new{number}" for number in range(3)]
        jobs = [await parts.submit(created(instance_name=name, nics=[card])) for name in names]
        assert [await parts.ended(job) for job in jobs] == ["success"] * 3

        now = parts.config.current
        addresses = {nic.ip for name in names for nic in now.instance(name).nics}
        assert len(addresses) == 3
        assert None not in addresses
        for name in names:
            await parts.run(instance.InstanceRemove(instance_name=name))
        assert parts.config.current.networks[network.uuid].reservations == before
