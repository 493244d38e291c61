"""Devices come to a real running guest, go from it, and follow it when it restarts or moves."""

import asyncio
import contextlib
import os
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import guests, hosts
from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.model import instance as instances
from pyganeti.noded import app, calls, settings
from pyganeti.noded.instance import hotplug, migrate, runtimes, start, stop
from pyganeti.noded.qemu import monitor, places, plugging, runtimefile, slots
from pyganeti.noded.rpc import dispatch
from pyganeti.noded.rpc import instance as instance_calls
from pyganeti.wire import noderpc

pytestmark = [pytest.mark.qemu, pytest.mark.root]

NAME = "k1.example.com"


async def begin(
    host: hosts.Host, sector: bytes = b"", **hvparams: Any
) -> tuple[instances.Instance, dict[str, Any]]:
    body = host.describe(NAME, sector or guests.generous(), user_shutdown=False, **hvparams)
    instance = msgspec.convert(body, instances.Instance)
    await start.start(host.parts, instance, paused=False, trail=[])
    # Asked before it has booted, a guest forgets it: its BIOS resets what had been asked.
    await say(host, "z")
    return instance, body


async def say(host: hosts.Host, letter: str) -> None:
    reader, writer = await asyncio.open_unix_connection(str(host.where.socket(NAME, ".serial")))
    writer.write(letter.encode())
    async with asyncio.timeout(20):
        while letter.encode() not in await reader.read(100):
            pass
    writer.close()


def more_disk(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Make one more disk, as a master describes it."""
    first = body["disks_info"][0]
    path = path_of(first).with_suffix(".more")
    path.write_bytes(bytes(2 << 20))
    return {**first, "uuid": str(uuid.uuid4()), "logical_id": ["loop", str(path)], **changes}


def path_of(disk: dict[str, Any]) -> Path:
    return Path(disk["logical_id"][1])


def more_nic(body: dict[str, Any]) -> instances.Nic:
    described = {**body["nics"][0], "uuid": str(uuid.uuid4()), "mac": "aa:00:00:00:00:99"}
    return msgspec.convert(described, instances.Nic)


def tap_of(nic: instances.Nic) -> Path:
    return Path("/sys/class/net") / ("tap" + nic.uuid.replace("-", "")[:12])


async def runtime(host: hosts.Host) -> runtimefile.Runtime:
    return await runtimes.load(host.parts, NAME)


@contextlib.asynccontextmanager
async def talking(host: hosts.Host) -> AsyncIterator[monitor.Monitor]:
    async with monitor.open(host.where.socket(NAME, ".qmp")) as talk:
        yield talk


async def devices(host: hosts.Host) -> frozenset[str]:
    async with talking(host) as talk:
        return await plugging.devices(talk)


async def test_a_disk_comes_and_goes(host: hosts.Host) -> None:
    instance, body = await begin(host)
    disk = more_disk(body)
    name = slots.device_id("disk", disk["uuid"])
    await hotplug.check(host.parts, instance)
    await hotplug.add_disk(host.parts, instance, disk, 1)
    assert name in await devices(host)
    now = await runtime(host)
    assert now.disks[1].uuid == disk["uuid"]
    assert now.disks[1].hvinfo["addr"] == "0xe"  # 0xc is the first disk's, 0xd the NIC's
    link = host.where.disk_links / f"{NAME}:1"
    assert os.readlink(link) == disk["logical_id"][1]  # noqa: PTH115 - compared as text
    hvinfo = await hotplug.remove(host.parts, instance, "disk", disk["uuid"])
    assert hvinfo == now.disks[1].hvinfo
    assert name not in await devices(host)
    async with talking(host) as talk:
        assert name not in await plugging.nodes(talk)
        assert await talk.execute("query-fdsets") == []
    assert len((await runtime(host)).disks) == 1
    assert not link.is_symlink()


@pytest.mark.parametrize("controller", ["lsi", "virtio-scsi-pci"])
async def test_a_scsi_disk_comes_and_goes_whatever_the_guest_does(
    host: hosts.Host, controller: str
) -> None:
    instance, body = await begin(
        host,
        guests.stubborn(),
        disk_type="scsi-hd",
        scsi_controller_type=controller,
        disk_cache="none",
    )
    disk = more_disk(body)
    await hotplug.add_disk(host.parts, instance, disk, 1)
    assert (await runtime(host)).disks[1].hvinfo["scsi-id"] == 1
    await hotplug.remove(host.parts, instance, "disk", disk["uuid"])
    assert slots.device_id("disk", disk["uuid"]) not in await devices(host)


@pytest.mark.parametrize("queues", [1, 3])
async def test_a_nic_comes_with_a_tap_and_goes_with_it(host: hosts.Host, queues: int) -> None:
    instance, body = await begin(host, virtio_net_queues=queues)
    nic = more_nic(body)
    await hotplug.add_nic(host.parts, instance, nic, 1)
    assert tap_of(nic).exists()
    ours = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]  # noqa: PTH208, ASYNC240 - numbers
    assert "/dev/net/tun" not in ours
    assert bool(int((tap_of(nic) / "tun_flags").read_text(), 16) & 0x100) is (queues > 1)
    async with talking(host) as talk:
        at = f"/machine/peripheral/{slots.device_id('nic', nic.uuid)}"
        shown = await talk.execute("qom-get", {"path": at, "property": "vectors"})
    assert shown == 2 * queues + 2
    assert (host.where.taps / NAME / "1").read_text() == tap_of(nic).name
    assert (await runtime(host)).nics[1].hvinfo["addr"] == "0xe"
    await hotplug.remove(host.parts, instance, "nic", nic.uuid)
    assert not tap_of(nic).exists()
    assert not (host.where.taps / NAME / "1").exists()
    assert len((await runtime(host)).nics) == 1


async def test_a_nic_is_exchanged_in_its_place(host: hosts.Host) -> None:
    instance, _ = await begin(host)
    old = (await runtime(host)).nics[0]
    changed = msgspec.structs.replace(instance.nics[0], mac="aa:00:00:00:00:77")
    await hotplug.exchange_nic(host.parts, instance, changed, 0)
    new = (await runtime(host)).nics[0]
    assert new.mac == "aa:00:00:00:00:77"
    assert new.hvinfo == old.hvinfo
    assert tap_of(new).exists()


async def test_a_nic_that_cannot_be_attached_changes_nothing(host: hosts.Host) -> None:
    instance, body = await begin(host)
    script = host.layout.config_dir / "kvm-vif-bridge"
    script.write_text("#!/bin/sh\necho no bridge here; exit 3\n")
    nic = more_nic(body)
    before, there = await runtime(host), await devices(host)
    with pytest.raises(errors.Failure, match="no bridge here"):
        await hotplug.add_nic(host.parts, instance, nic, 1)
    assert not tap_of(nic).exists()
    assert not (host.where.taps / NAME / "1").exists()
    script.unlink()
    with pytest.raises(errors.Failure, match="no routing table lo"):
        await hotplug.exchange_nic(host.parts, instance, instance.nics[0], 0)
    assert await runtime(host) == before
    assert await devices(host) == there
    assert tap_of(instance.nics[0]).exists()


async def test_what_qemu_refuses_is_undone_and_said(host: hosts.Host) -> None:
    instance, body = await begin(host, kvm_extra="-device virtio-rng-pci,addr=0xe")
    before = await runtime(host)
    disk, nic = more_disk(body), more_nic(body)
    with pytest.raises(monitor.Refused, match="in use by virtio-rng-pci"):
        await hotplug.add_disk(host.parts, instance, disk, 1)
    with pytest.raises(monitor.Refused, match="in use by virtio-rng-pci"):
        await hotplug.add_nic(host.parts, instance, nic, 1)
    assert await runtime(host) == before
    assert not tap_of(nic).exists()
    async with talking(host) as talk:
        assert slots.device_id("disk", disk["uuid"]) not in await plugging.nodes(talk)
        assert await talk.execute("query-fdsets") == []


async def test_a_disk_that_is_not_there_is_not_plugged_in(host: hosts.Host) -> None:
    instance, body = await begin(host)
    disk = more_disk(body)
    path_of(disk).unlink()
    with pytest.raises(errors.Failure, match="not there"):
        await hotplug.add_disk(host.parts, instance, disk, 1)
    assert len((await runtime(host)).disks) == 1


async def test_a_guest_that_keeps_a_device_is_given_time_then_said(host: hosts.Host) -> None:
    instance, _ = await begin(host, guests.stubborn())
    name = slots.device_id("nic", instance.nics[0].uuid)
    async with talking(host) as talk:
        with pytest.raises(errors.Unavailable, match="has not let go of nic-"):
            await plugging.remove(talk, name, patience=0.3)
        # Asked twice, it is waited for again.
        with pytest.raises(errors.Unavailable, match="has not let go of nic-"):
            await plugging.remove(talk, name, patience=0.3)
    assert name in await devices(host)
    assert tap_of(instance.nics[0]).exists()
    assert len((await runtime(host)).nics) == 1


@pytest.mark.parametrize(
    ("hvparams", "words"),
    [({"disk_type": "ide"}, "device type ide"), ({"nic_type": "ne2k_isa"}, "type ne2k_isa")],
)
async def test_what_sits_for_good_is_refused(
    host: hosts.Host, hvparams: dict[str, Any], words: str
) -> None:
    instance, _ = await begin(host, **hvparams)
    kind, thing = ("disk", "disks") if "disk_type" in hvparams else ("nic", "nics")
    with pytest.raises(errors.BadInput, match=words):
        await hotplug.remove(host.parts, instance, kind, (await runtime(host)).disks[0].uuid)
    assert getattr(await runtime(host), thing)


async def test_one_that_does_not_run_or_hangs_has_no_hotplug(host: hosts.Host) -> None:
    body = host.describe()
    instance = msgspec.convert(body, instances.Instance)
    with pytest.raises(errors.BadInput, match=r"not supported: k1\.example\.com does not run"):
        await hotplug.check(host.parts, instance)
    with pytest.raises(errors.BadInput, match="does not run"):
        await hotplug.add_disk(host.parts, instance, more_disk(body), 1)
    with pytest.raises(errors.BadInput, match="does not run"):
        await hotplug.resize(host.parts, instance, body["disks_info"][0], 4 << 20)
    assert host.left() == []


async def test_what_came_by_hotplug_is_there_after_a_soft_reboot(host: hosts.Host) -> None:
    instance, body = await begin(host)
    disk, nic = more_disk(body), more_nic(body)
    await hotplug.add_disk(host.parts, instance, disk, 0)
    await hotplug.add_nic(host.parts, instance, nic, 1)
    # The master counts it as the first disk; the guest goes on having it as its second.
    later = msgspec.structs.replace(
        instance, disks_info=(disk, *instance.disks_info), nics=(*instance.nics, nic)
    )
    await stop.reboot_soft(host.parts, later, 0, [])
    running = host.running()
    assert running is not None
    line = " ".join(running.line)
    assert f"instance-disks/{NAME}:0" in line
    first, second = (line.index(slots.device_id("disk", d["uuid"])) for d in later.disks_info)
    assert second < first
    assert nic.mac in line
    await stop.stop(host.parts, later, 0, [])
    assert host.left(places.INTENT) == []


async def test_a_disk_taken_from_the_configuration_alone_stops_no_guest(host: hosts.Host) -> None:
    instance, _ = await begin(host)
    before = host.running()
    bare = msgspec.structs.replace(instance, disks_info=())
    with pytest.raises(errors.BadInput, match="that it is not to have"):
        await stop.reboot_soft(host.parts, bare, 0, [])
    assert host.running() == before


async def test_an_add_that_was_cut_off_is_settled(host: hosts.Host) -> None:
    instance, body = await begin(host)
    disk, nic = more_disk(body), more_nic(body)
    now = await runtime(host)
    # As far as it got: written down, the node opened, the tap's descriptor handed over.
    placed = {**disk, "hvinfo": {"driver": "virtio-blk-pci", "id": "disk-x", "addr": "0x10"}}
    cut = runtimefile.Runtime(
        now.command, now.nics, now.hvparams, (*now.disks, runtimefile.Disk(placed, None, None))
    )
    await runtimes.save(host.parts, NAME, cut)
    async with talking(host) as talk:
        node = {"driver": "null-co", "node-name": "disk-x"}
        await talk.execute("blockdev-add", node)
        with open("/dev/null", "rb") as file:  # noqa: ASYNC230, PTH123 - a test may block
            name = f"{slots.device_id('nic', nic.uuid)}-0"
            await talk.hand_over(file.fileno(), "getfd", {"fdname": name})
    assert "disk-x" not in await migrate.information(host.parts, instance)
    assert await runtime(host) == now
    async with talking(host) as talk:
        assert "disk-x" not in await plugging.nodes(talk)
    await hotplug.add_nic(host.parts, instance, nic, 1)
    await hotplug.add_nic(host.parts, instance, nic, 1)
    assert len((await runtime(host)).nics) == 2


async def test_a_running_guests_disk_grows(host: hosts.Host) -> None:
    instance, body = await begin(host)
    disk = body["disks_info"][0]
    path = path_of(disk)
    os.truncate(path, 3 << 20)
    await hotplug.resize(host.parts, instance, disk, 3 << 20)
    async with talking(host) as talk:
        sizes = {
            one["node-name"]: one["image"]["virtual-size"]
            for one in await talk.execute("query-named-block-nodes", {"flat": True})
        }
    assert sizes[slots.device_id("disk", disk["uuid"])] == 3 << 20
    assert (await runtime(host)).disks[0].about["size"] == 3
    with pytest.raises(errors.BadInput, match="cannot shrink"):
        await hotplug.resize(host.parts, instance, disk, 1 << 20)
    assert path.stat().st_size == 3 << 20
    with pytest.raises(errors.BadInput, match="no disk with UUID nonesuch"):
        await hotplug.resize(host.parts, instance, {**disk, "uuid": "nonesuch"}, 4 << 20)


async def test_an_image_with_a_structure_grows_by_the_qemu_that_has_it(host: hosts.Host) -> None:
    body = host.describe(NAME, guests.stubborn(), user_shutdown=False)
    described = body["disks_info"][0]
    described["params"] = {"format": "qcow2"}
    path = path_of(described)
    path.unlink()
    made = ["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M"]
    subprocess.run(made, check=True, timeout=20)  # noqa: ASYNC221 - a test may block
    disk = disks.from_wire(described)
    assert not await hotplug.grow_in_use(host.parts, disk, 1, dry_run=False)
    instance = host.understood(body)
    await start.start(host.parts, instance, paused=False, trail=[])
    node = slots.device_id("disk", described["uuid"])
    assert await hotplug.grow_in_use(host.parts, disk, 2, dry_run=True)
    assert await hotplug.grow_in_use(host.parts, disk, 2, dry_run=False)
    async with talking(host) as talk:
        assert await plugging.size_of(talk, node) == 3 << 20
    # What the master says next is what it has already.
    await hotplug.resize(host.parts, instance, described, 3 << 20)
    async with talking(host) as talk:
        assert await plugging.size_of(talk, node) == 3 << 20


async def test_a_confined_qemu_is_handed_all_that_it_needs(host: hosts.Host) -> None:
    instance, body = await begin(
        host, security_model="user", security_domain="nobody", use_chroot=True
    )
    disk, nic = more_disk(body), more_nic(body)
    path_of(disk).chmod(0o600)
    await hotplug.add_disk(host.parts, instance, disk, 1)
    await hotplug.add_nic(host.parts, instance, nic, 1)
    now = await runtime(host)
    assert now.nics[1].hvinfo["romfile"] == ""
    await hotplug.remove(host.parts, instance, "nic", nic.uuid)
    await hotplug.remove(host.parts, instance, "disk", disk["uuid"])
    assert tap_of(instance.nics[0]).exists()


async def test_a_qemu_that_dies_of_it_leaves_nothing(host: hosts.Host) -> None:
    instance, body = await begin(host)
    running = host.running()
    assert running is not None
    nic = more_nic(body)
    script = host.layout.config_dir / "kvm-vif-bridge"
    script.write_text(f"#!/bin/sh\nkill -9 {running.pid}\n")
    with pytest.raises(errors.Failure):
        await hotplug.add_nic(host.parts, instance, nic, 1)
    async with asyncio.timeout(10):
        while tap_of(nic).exists() or host.running():  # noqa: ASYNC110 - the kernel wakes nobody
            await asyncio.sleep(0.01)
    await stop.stop(host.parts, instance, 0, [])
    assert host.left(places.INTENT) == []


async def test_a_qemu_that_hangs_is_said_and_nothing_is_left(
    host: hosts.Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, body = await begin(host)
    running = host.running()
    assert running is not None
    nic = more_nic(body)
    os.kill(running.pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(monitor, "PATIENCE", 0.5)
            with pytest.raises(errors.Unavailable, match=r"does not (greet|answer)"):
                await hotplug.add_nic(host.parts, instance, nic, 1)
    finally:
        os.kill(running.pid, signal.SIGCONT)
    assert not tap_of(nic).exists()
    await hotplug.add_nic(host.parts, instance, nic, 1)
    assert len((await runtime(host)).nics) == 2


async def test_calls_have_ganetis_shapes_and_what_makes_no_sense_changes_nothing(
    host: hosts.Host,
) -> None:
    chosen = settings.Settings(
        layout=host.layout, bind="127.0.0.1", port=0, certificate=None, key=None
    )
    node = app.make_node(chosen, lambda: None)
    node.hypervisor = host.parts
    dispatcher = dispatch.Dispatcher(calls.Table([instance_calls.CALLS]), node)

    async def ask(name: str, *arguments: object) -> Any:
        sent = noderpc.encode_arguments(arguments)
        answer = await dispatcher.answer(name, sent, caller="m", is_wanted=lambda: True)
        return noderpc.decode_answer(answer)

    _, body = await begin(host)
    disk = more_disk(body)
    link = [str(host.where.disk_links / f"{NAME}:1"), None]
    assert await ask("hotplug_supported", body) is None
    assert await ask("hotplug_device", body, "hotadd", "disk", disk, link, 1) is None
    os.truncate(path_of(disk), 4 << 20)
    assert await ask("resize_disk", body, disk, 4 << 20) is None
    before = await runtime(host)
    nic = {**body["nics"][0], "uuid": str(uuid.uuid4())}
    for wrong, words in (
        (("hotadd", "usb", disk, link, 2), "neither disk nor nic"),
        (("hotmod", "disk", disk, link, 1), "a disk has no 'hotmod'"),
        (("explode", "nic", nic, None, 1), "a nic has no 'explode'"),
        (("hotadd", "nic", nic, None, -1), "not the number of a device"),
        (("hotadd", "nic", {"mac": 7}, None, 1), "this is no NIC"),
        (("hotadd", "nic", {**nic, "mac": "no"}, None, 1), "no right uuid or address"),
        (("hotadd", "nic", {**nic, "nicparams": {"mode": "odd"}}, None, 1), "NIC 1 of"),
        (("hotadd", "disk", {**disk, "uuid": None}, link, 2), "without a uuid"),
        (("hotadd", "disk", {"uuid": "x"}, link, 2), "this is no disk"),
        (("hotadd", "disk", {**disk, "uuid": "new", "mode": "ro"}, link, 2), "read-only"),
        (("hotremove", "disk", {}, None, 1), "no disk with UUID"),
        (("hotremove", "nic", nic, None, 1), "no NIC with UUID"),
    ):
        with pytest.raises(errors.Failure, match=words):
            await ask("hotplug_device", body, *wrong)
    with pytest.raises(errors.Failure, match="takes 6 arguments"):
        await ask("hotplug_device", body, "hotadd", "disk", disk)
    with pytest.raises(errors.Failure, match="new_size"):
        await ask("resize_disk", body, disk, "big")
    assert await runtime(host) == before
    placed = before.disks[1].hvinfo
    assert await ask("hotplug_device", body, "hotremove", "disk", disk, None, 1) == placed
