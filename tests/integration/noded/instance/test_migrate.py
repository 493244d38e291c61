"""A real guest moves between two nodes on this machine, each with a root of its own."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from lab import guests, hosts, nodedaemons
from pyganeti.base import errors
from pyganeti.model import instance as instances
from pyganeti.model import intent as intents
from pyganeti.noded.instance import hotplug, migrate, pausing, start
from pyganeti.noded.qemu import credentials, monitor, runtimefile
from pyganeti.wire import intentfile

pytestmark = [pytest.mark.qemu, pytest.mark.root]

NAME = "k1.example.com"
HERE = "127.0.0.1"


@pytest_asyncio.fixture
async def target(host: hosts.Host) -> AsyncIterator[hosts.Host]:
    async with hosts.host(host.recorded) as other:
        allowed = [h.layout.config_dir / "file-storage-paths" for h in (host, other)]
        allowed[1].write_text("".join(path.read_text() for path in allowed))
        yield other


def moving(host: hosts.Host, **hvparams: Any) -> instances.Instance:
    with contextlib.closing(socket.create_server((HERE, 0))) as free:
        port = free.getsockname()[1]
    return host.instance(sector=guests.polite(), migration_port=port, **hvparams)


async def way(
    host: hosts.Host, target: hosts.Host, instance: instances.Instance, *, live: bool = True
) -> None:
    """Have a running guest begin to move."""
    told = await migrate.information(host.parts, instance)
    await migrate.accept(target.parts, instance, told, HERE)
    await migrate.send(host.parts, instance, HERE, live=live)


async def status(host: hosts.Host) -> str:
    async with monitor.open(host.where.socket(NAME, ".qmp")) as talk:
        return await talk.status()


async def over(host: hosts.Host, instance: instances.Instance) -> str:
    async with asyncio.timeout(30):
        while (told := await migrate.progress(host.parts, instance))["status"] == "active":  # noqa: ASYNC110 - as masters ask
            await asyncio.sleep(0.02)
    return str(told["status"])


@pytest.mark.parametrize("caps", ["", "auto-converge", "postcopy-ram"])
async def test_a_running_guest_moves_and_runs_on(
    host: hosts.Host, target: hosts.Host, caps: str
) -> None:
    instance = moving(host, migration_caps=caps)
    await start.start(host.parts, instance, paused=False, trail=[])
    await migrate.check(host.parts, instance)
    told = await migrate.information(host.parts, instance)
    await migrate.accept(target.parts, instance, told, HERE)
    assert await status(target) == "inmigrate"
    await migrate.send(host.parts, instance, HERE, live=True)
    assert await over(host, instance) == "completed"
    written = intentfile.decode((host.where.control / f"{NAME}.intent").read_bytes())
    assert written.kind is intents.IntentKind.MIGRATE
    await migrate.finish_source(host.parts, instance, success=True)
    await migrate.finish_target(target.parts, instance, success=True)
    assert host.running() is None
    assert host.left(".intent") == []
    assert await status(target) == "running"
    there = target.running()
    assert there is not None
    assert str(host.layout.root / "var") not in " ".join(there.line)


async def test_a_guest_that_cannot_leave_runs_on_where_it_is(
    host: hosts.Host, target: hosts.Host
) -> None:
    instance = moving(host)
    await start.start(host.parts, instance, paused=False, trail=[])
    told = await migrate.information(host.parts, instance)
    await migrate.accept(target.parts, instance, told, HERE)
    await migrate.finish_target(target.parts, instance, success=False)
    assert target.running() is None
    assert target.left(".intent") == []
    await migrate.send(host.parts, instance, HERE, live=True)
    assert await over(host, instance) == "failed"
    await migrate.finish_source(host.parts, instance, success=False)
    assert await status(host) == "running"
    assert not (host.where.control / f"{NAME}.intent").exists()


async def test_an_attempt_that_was_cut_off_can_be_made_again(
    host: hosts.Host, target: hosts.Host
) -> None:
    instance = moving(host)
    await start.start(host.parts, instance, paused=False, trail=[])
    told = await migrate.information(host.parts, instance)
    await migrate.accept(target.parts, instance, told, HERE)
    await migrate.accept(target.parts, instance, told, HERE)
    assert await status(target) == "inmigrate"


async def test_a_guest_is_not_accepted_where_it_runs(host: hosts.Host) -> None:
    instance = moving(host)
    await start.start(host.parts, instance, paused=False, trail=[])
    told = await migrate.information(host.parts, instance)
    with pytest.raises(errors.Failure, match="runs on this node already"):
        await migrate.accept(host.parts, instance, told, HERE)
    assert await status(host) == "running"


async def test_ganetis_own_runtime_file_is_accepted(target: hosts.Host) -> None:
    golden = Path(__file__).parents[3] / "golden/rpc/accept_instance.json"
    body, told, _ = json.loads(golden.read_text())[0]
    described = target.describe(sector=guests.polite())
    body["disks_info"] = described["disks_info"]
    instance = msgspec.convert(body, instances.Instance)
    await migrate.accept(target.parts, instance, told, HERE)
    assert await status(target) == "inmigrate"
    running = target.running()
    assert running is not None
    assert "addr=0xd" in " ".join(running.line)


async def test_what_is_no_runtime_file_is_refused(target: hosts.Host) -> None:
    with pytest.raises(errors.Damaged):
        await migrate.accept(target.parts, moving(target), "[1, 2]", HERE)
    assert target.left(".intent") == []


def secure(*nodes: hosts.Host, of: str = "cluster.example.com") -> None:
    """Make the nodes some of one cluster, whose key they have."""
    for node in nodes:
        node.layout.state_dir.mkdir(parents=True, exist_ok=True)
        node.layout.server_certificate.write_bytes(nodedaemons.cluster(of).server.pem)


async def parameters(host: hosts.Host) -> dict[str, Any]:
    async with monitor.open(host.where.socket(NAME, ".qmp")) as talk:
        told: dict[str, Any] = await talk.execute("query-migrate-parameters")
    return told


_CONFINED = {"security_model": "user", "security_domain": "nobody", "use_chroot": True}


@pytest.mark.parametrize(
    ("caps", "confined"),
    [
        ("", {}),
        ("postcopy-ram", {}),  # a qemu without rights may not: the kernel keeps it to root
        ("multifd", {}),
        ("", _CONFINED),
        ("multifd", _CONFINED),
    ],
)
async def test_a_guest_moves_through_tls(
    host: hosts.Host, target: hosts.Host, caps: str, confined: dict[str, Any]
) -> None:
    secure(host, target)
    instance = moving(host, migration_tls=True, migration_caps=caps, **confined)
    await start.start(host.parts, instance, paused=False, trail=[])
    await way(host, target, instance)
    assert (await parameters(host))["tls-creds"] == credentials.NAME
    assert (await parameters(target))["tls-creds"] == credentials.NAME
    assert await over(host, instance) == "completed"
    await migrate.finish_source(host.parts, instance, success=True)
    await migrate.finish_target(target.parts, instance, success=True)
    assert await status(target) == "running"
    assert (await parameters(target)).get("tls-creds", "") == ""
    assert not [path for path in target.left() if "tls" in path or path.endswith(".pem")]
    assert host.left(".intent") == []


async def test_who_is_not_of_the_cluster_does_not_get_through(
    host: hosts.Host, target: hosts.Host
) -> None:
    secure(host, of="other.example.com")
    secure(target)
    instance = moving(host, migration_tls=True)
    await start.start(host.parts, instance, paused=False, trail=[])
    await way(host, target, instance)
    assert await over(host, instance) == "failed"
    # Nor does who speaks no TLS at all; and the guest to come is still awaited after both.
    reader, writer = await asyncio.open_connection(HERE, instance.hvparams.migration_port)
    writer.write(b"QEVM\x00\x00\x00\x03" + bytes(100))
    with contextlib.suppress(ConnectionResetError):
        await reader.read()
    writer.close()
    assert await status(target) == "inmigrate"
    await migrate.finish_target(target.parts, instance, success=False)
    await migrate.finish_source(host.parts, instance, success=False)
    assert target.left(".intent") == []
    assert await status(host) == "running"
    assert (await parameters(host)).get("tls-creds", "") == ""


async def test_without_the_clusters_key_there_is_no_tls(
    host: hosts.Host, target: hosts.Host
) -> None:
    instance = moving(host, migration_tls=True)
    await start.start(host.parts, instance, paused=False, trail=[])
    told = await migrate.information(host.parts, instance)
    with pytest.raises(errors.Unavailable, match=r"server\.pem"):
        await migrate.accept(target.parts, instance, told, HERE)
    assert target.left(".intent") == []
    with pytest.raises(errors.Unavailable, match=r"server\.pem"):
        await migrate.send(host.parts, instance, HERE, live=False)
    assert await status(host) == "running"
    assert not (host.where.control / f"{NAME}.intent").exists()


_NOWHERE = ("node2.example.com", "0.0.0.0", "::", "224.0.0.1", "")  # noqa: S104 - refused


@pytest.mark.parametrize("address", _NOWHERE)
async def test_a_guest_is_awaited_at_one_address_of_the_node(
    host: hosts.Host, target: hosts.Host, address: str
) -> None:
    instance = moving(host)
    await start.start(host.parts, instance, paused=False, trail=[])
    told = await migrate.information(host.parts, instance)
    with pytest.raises(errors.BadInput, match="address"):
        await migrate.accept(target.parts, instance, told, address)
    with pytest.raises(errors.BadInput, match="address"):
        await migrate.send(host.parts, instance, address, live=True)
    assert target.left(".intent") == []


async def test_an_address_of_another_node_is_refused_with_qemus_words(
    host: hosts.Host, target: hosts.Host
) -> None:
    instance = moving(host)
    await start.start(host.parts, instance, paused=False, trail=[])
    told = await migrate.information(host.parts, instance)
    with pytest.raises(monitor.Refused, match="Cannot assign requested address"):
        await migrate.accept(target.parts, instance, told, "192.0.2.1")
    assert target.left(".intent") == []
    assert target.running() is None


async def test_a_guest_that_stood_still_to_be_moved_runs_at_the_other_end(
    host: hosts.Host, target: hosts.Host
) -> None:
    instance = moving(host)
    await start.start(host.parts, instance, paused=False, trail=[])
    told = await migrate.information(host.parts, instance)
    await migrate.accept(target.parts, instance, told, HERE)
    await migrate.send(host.parts, instance, HERE, live=False)
    assert await over(host, instance) == "completed"
    await migrate.finish_source(host.parts, instance, success=True, live=False)
    await migrate.finish_target(target.parts, instance, success=True, information=told)
    assert await status(target) == "running"


async def test_a_paused_guest_stays_so_when_it_moves(host: hosts.Host, target: hosts.Host) -> None:
    instance = moving(host)
    await start.start(host.parts, instance, paused=False, trail=[])
    await pausing.pause(host.parts, NAME, [])
    told = await migrate.information(host.parts, instance)
    await migrate.accept(target.parts, instance, told, HERE)
    await migrate.send(host.parts, instance, HERE, live=True)
    assert await over(host, instance) == "completed"
    await migrate.finish_source(host.parts, instance, success=True)
    await migrate.finish_target(target.parts, instance, success=True, information=told)
    assert await status(target) == "paused"
    assert runtimefile.decode(target.where.runtime(NAME).read_bytes()).disks[0].link == str(
        target.where.disk_links / f"{NAME}:0"
    )


def more_disk(instance: instances.Instance) -> dict[str, Any]:
    first = instance.disks_info[0]
    path = Path(first["logical_id"][1]).with_suffix(".more")
    path.write_bytes(bytes(1 << 20))
    return {**first, "uuid": str(uuid.uuid4()), "logical_id": ["loop", str(path)]}


@pytest.mark.parametrize("confined", [{}, _CONFINED], ids=["free", "confined"])
async def test_what_came_by_hotplug_moves_along(
    host: hosts.Host, target: hosts.Host, confined: dict[str, Any]
) -> None:
    instance = moving(host, **confined)
    await start.start(host.parts, instance, paused=False, trail=[])
    disk = more_disk(instance)
    nic = msgspec.structs.replace(instance.nics[0], uuid=str(uuid.uuid4()), mac="aa:00:00:00:00:99")
    await hotplug.add_disk(host.parts, instance, disk, 0)
    await hotplug.add_nic(host.parts, instance, nic, 1)
    later = msgspec.structs.replace(
        instance, disks_info=(disk, *instance.disks_info), nics=(*instance.nics, nic)
    )
    await way(host, target, later)
    assert await over(host, later) == "completed"
    await migrate.finish_source(host.parts, later, success=True)
    await migrate.finish_target(target.parts, later, success=True)
    assert await status(target) == "running"
    assert host.left(".intent") == []


def slowly(host: hosts.Host, **hvparams: Any) -> instances.Instance:
    """Return an instance that takes far longer to move than any test looks on."""
    memory = {"maxmem": 64, "minmem": 64}
    return moving(host, migration_bandwidth=1, migration_downtime=1, beparams=memory, **hvparams)


async def begin_to_move(
    host: hosts.Host, target: hosts.Host, instance: instances.Instance, *, live: bool = True
) -> None:
    letter = guests.Command.TOUCH_MEMORY
    await start.start(host.parts, instance, paused=False, trail=[])
    reader, writer = await asyncio.open_unix_connection(str(host.where.socket(NAME, ".serial")))
    writer.write(letter.encode())
    async with asyncio.timeout(20):
        await reader.readexactly(1)
    writer.close()
    await way(host, target, instance, live=live)
    async with asyncio.timeout(20):
        while not (await migrate.progress(host.parts, instance)).get("transferred_ram"):  # noqa: ASYNC110 - as masters ask
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("mode", ["live", "non-live"])
async def test_a_migration_is_cancelled_and_both_sides_are_clean(
    host: hosts.Host, target: hosts.Host, mode: str
) -> None:
    live = mode == "live"
    secure(host, target)
    instance = slowly(host, migration_tls=True, migration_caps="auto-converge")
    await begin_to_move(host, target, instance, live=live)
    told = await migrate.progress(host.parts, instance)
    assert told["status"] == "active"
    assert told["total_ram"] > told["transferred_ram"] > 0
    limits = await parameters(host)
    assert (limits["max-bandwidth"], limits["downtime-limit"]) == (1 << 20, 1)
    assert await status(host) == ("running" if live else "paused")
    with pytest.raises(errors.Unavailable, match="being moved already"):
        await migrate.send(host.parts, instance, HERE, live=True)
    with pytest.raises(errors.Failure, match="has not left this node"):
        await migrate.finish_source(host.parts, instance, success=True)
    with pytest.raises(errors.Unavailable, match="devices cannot be changed"):
        await hotplug.add_nic(host.parts, instance, instance.nics[0], 1)
    await migrate.finish_target(target.parts, instance, success=False)
    await migrate.finish_source(host.parts, instance, success=False, live=live)
    assert await status(host) == "running"
    assert not (host.where.control / f"{NAME}.intent").exists()
    assert target.left(".intent") == []
    async with monitor.open(host.where.socket(NAME, ".qmp")) as talk:
        switched = await talk.execute("query-migrate-capabilities")
    assert {"capability": "auto-converge", "state": False} in switched


@contextlib.contextmanager
def unreachable() -> Iterator[int]:
    """Give a port where the kernel answers nobody: its queue is full, and nobody takes from it."""
    with contextlib.ExitStack() as end:
        deaf = end.enter_context(socket.socket())
        deaf.bind((HERE, 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        while True:
            waiting = end.enter_context(socket.socket())
            waiting.settimeout(0.3)
            try:
                waiting.connect((HERE, port))
            except TimeoutError:
                break
        yield port


@pytest.mark.parametrize("mode", ["live", "non-live"])
async def test_a_guest_is_called_back_from_the_way_to_a_node_that_does_not_answer(
    host: hosts.Host, mode: str
) -> None:
    live = mode == "live"
    with unreachable() as port:
        instance = host.instance(
            sector=guests.polite(), migration_port=port, migration_caps="auto-converge"
        )
        await start.start(host.parts, instance, paused=False, trail=[])
        await migrate.send(host.parts, instance, HERE, live=live)
        assert await migrate.progress(host.parts, instance) == {"status": "active"}
        await migrate.finish_source(host.parts, instance, success=False, live=live)
        assert await status(host) == "running"
        assert not (host.where.control / f"{NAME}.intent").exists()
        with pytest.raises(errors.Unavailable, match=r"being moved already \(cancelling\)"):
            await migrate.send(host.parts, instance, HERE, live=True)
        await migrate.finish_source(host.parts, instance, success=False, live=live)
        assert await status(host) == "running"


@pytest.mark.parametrize("victim", ["source", "target"])
async def test_a_qemu_killed_on_the_way_leaves_nothing_behind(
    host: hosts.Host, target: hosts.Host, victim: str
) -> None:
    instance = slowly(host)
    await begin_to_move(host, target, instance)
    there, here = target.running(), host.running()
    assert there is not None
    assert here is not None
    os.kill(here.pid if victim == "source" else there.pid, signal.SIGKILL)
    if victim == "source":
        with pytest.raises(errors.Unavailable):
            await migrate.progress(host.parts, instance)
    else:
        assert await over(host, instance) == "failed"
    await migrate.finish_target(target.parts, instance, success=False)
    await migrate.finish_source(host.parts, instance, success=False)
    assert target.left(".intent") == []
    assert target.running() is None
    assert target.taps() == []
    if victim == "source":
        assert host.running() is None
        assert host.left(".intent") == []
    else:
        assert await status(host) == "running"


async def test_a_guest_that_has_arrived_is_not_ended_for_a_masters_doubt(
    host: hosts.Host, target: hosts.Host
) -> None:
    instance = moving(host)
    await start.start(host.parts, instance, paused=False, trail=[])
    await way(host, target, instance)
    assert await over(host, instance) == "completed"
    await migrate.finish_target(target.parts, instance, success=True)
    with pytest.raises(errors.Failure, match="has arrived here"):
        await migrate.finish_target(target.parts, instance, success=False)
    with pytest.raises(errors.Failure, match="must not run here as well"):
        await migrate.finish_source(host.parts, instance, success=False)
    assert await status(target) == "running"
    assert await status(host) == "postmigrate"


async def test_half_a_guest_is_on_either_side_in_postcopy_and_neither_is_ended(
    host: hosts.Host, target: hosts.Host
) -> None:
    instance = slowly(host, migration_caps="postcopy-ram")
    await begin_to_move(host, target, instance)
    async with monitor.open(host.where.socket(NAME, ".qmp")) as talk:
        # So that it stays half-way: what is left is sent only as slowly.
        await talk.execute("migrate-set-parameters", {"max-postcopy-bandwidth": 4096})
        await talk.execute("migrate-start-postcopy")
    async with asyncio.timeout(20):
        while "postcopy_status" not in (told := await migrate.progress(host.parts, instance)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        async with monitor.open(target.where.socket(NAME, ".qmp")) as talk:
            while not (await talk.execute("query-migrate"))["status"].startswith("postcopy"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert told["status"] == "active"
    with pytest.raises(errors.Failure, match="is not ended"):
        await migrate.finish_target(target.parts, instance, success=False)
    with pytest.raises(errors.Failure, match="cannot be called back"):
        await migrate.finish_source(host.parts, instance, success=False)
    there = target.running()
    assert there is not None
    assert host.running() is not None


async def test_a_qemu_that_gets_garbage_ends_and_the_guest_stays_where_it_is(
    host: hosts.Host, target: hosts.Host
) -> None:
    instance = moving(host)
    await start.start(host.parts, instance, paused=False, trail=[])
    told = await migrate.information(host.parts, instance)
    await migrate.accept(target.parts, instance, told, HERE)
    _, writer = await asyncio.open_connection(HERE, instance.hvparams.migration_port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    async with asyncio.timeout(10):
        while target.running() is not None:  # noqa: ASYNC110 - no child of ours
            await asyncio.sleep(0.01)
    writer.close()
    await migrate.send(host.parts, instance, HERE, live=True)
    assert await over(host, instance) == "failed"
    await migrate.finish_target(target.parts, instance, success=False)
    await migrate.finish_source(host.parts, instance, success=False)
    assert target.left(".intent") == []
    assert await status(host) == "running"


@pytest.mark.skipif(not shutil.which("swtpm"), reason="needs swtpm (Debian package swtpm)")
async def test_what_tpm_and_uefi_remember_moves_along(host: hosts.Host, target: hosts.Host) -> None:
    known = await host.parts.known.of("/usr/bin/qemu-system-x86_64")
    if not known.firmware:
        pytest.skip("needs OVMF (Debian package ovmf)")
    memory = {"maxmem": 128, "minmem": 128}
    instance = moving(
        host, tpm="2.0", firmware="uefi", machine_version="q35", beparams=memory,
        migration_bandwidth=1000,
    )  # fmt: skip
    await start.start(host.parts, instance, paused=False, trail=[])
    await way(host, target, instance)
    assert await over(host, instance) == "completed"
    await migrate.finish_source(host.parts, instance, success=True)
    await migrate.finish_target(target.parts, instance, success=True)
    assert await status(target) == "running"
    for node in (host, target):
        # The source keeps what it has: better an old state than none, should it fail over.
        assert list((node.where.tpms / NAME).iterdir())
        assert node.where.variables(NAME).exists()
    assert host.left(".intent") == []
