"""What an instance's parameters ask for is what a real guest, or whoever looks at it, gets."""

import asyncio
import contextlib
import datetime as dt
import os
import pty
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lab import guests, hosts, nodedaemons
from pyganeti.base import certificates
from pyganeti.noded.instance import console, info, start, stop
from pyganeti.noded.qemu import monitor, process

pytestmark = [pytest.mark.qemu, pytest.mark.root]

NAME = "k1.example.com"
_VNC_PASSWORD = 2
_VENCRYPT = 19


async def begin(host: hosts.Host, sector: bytes = b"", **hvparams: Any) -> process.Running:
    instance = host.instance(NAME, sector, **({"user_shutdown": False} | hvparams))
    await start.start(host.parts, instance, paused=False, trail=[])
    running = host.running()
    assert running is not None
    return running


@contextlib.asynccontextmanager
async def talking(host: hosts.Host) -> AsyncIterator[monitor.Monitor]:
    async with monitor.open(host.where.socket(NAME, ".qmp")) as talk:
        yield talk


async def say(host: hosts.Host, letter: str) -> None:
    """Give a guest a letter until it echoes one: while its BIOS starts, it is deaf."""
    reader, writer = await asyncio.open_unix_connection(str(host.where.socket(NAME, ".serial")))
    heard = b""
    async with asyncio.timeout(20):
        while letter.encode() not in heard:
            writer.write(letter.encode())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    heard = await reader.read(100)
    writer.close()


async def _ended(host: hosts.Host) -> None:
    async with asyncio.timeout(20):
        while host.running() is not None:  # noqa: ASYNC110 - no child of ours
            await asyncio.sleep(0.01)


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port: int = free.getsockname()[1]
    return port


async def security_types(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> set[int]:
    """Begin to speak VNC (RFC 6143); return how one may prove who one is."""
    async with asyncio.timeout(10):
        banner = await reader.readexactly(12)
        assert banner.startswith(b"RFB 003.008")
        writer.write(banner)
        count = (await reader.readexactly(1))[0]
        kinds = set(await reader.readexactly(count))
    writer.close()
    return kinds


@pytest.mark.parametrize("machine", ["pc", "q35"])
async def test_it_boots_from_the_floppy_that_it_is_given(host: hosts.Host, machine: str) -> None:
    image = host.layout.root / "boot.img"
    image.write_bytes(guests.stubborn().ljust(1474560, b"\0"))
    await begin(host, boot_order="floppy", floppy_image_path=str(image), machine_version=machine)
    await say(host, "z")


@pytest.mark.parametrize("kind", ["paravirtual", "ide", "scsi-hd"])
async def test_it_boots_from_its_disk_whatever_that_is(host: hosts.Host, kind: str) -> None:
    await begin(host, guests.stubborn(), disk_type=kind, scsi_controller_type="virtio-scsi-pci")
    await say(host, "z")


@pytest.mark.parametrize(("behaviour", "runs"), [("exit", False), ("reboot", True)])
async def test_a_reset_ends_it_or_not(host: hosts.Host, behaviour: str, runs: object) -> None:
    running = await begin(host, guests.stubborn(), reboot_behavior=behaviour)
    await say(host, "z")
    await say(host, guests.Command.RESET)
    if runs:
        await say(host, "y")
        assert host.running() == running
    else:
        await _ended(host)
        assert await info.one(host.parts, NAME) == {}


async def test_processors_have_the_topology_that_is_asked_for(host: hosts.Host) -> None:
    await begin(
        host,
        cpu_sockets=2,
        cpu_cores=2,
        cpu_threads=1,
        beparams={"maxmem": 16, "minmem": 16, "vcpus": 4},
    )
    async with talking(host) as talk:
        found = await talk.execute("query-cpus-fast")
    assert {(one["props"]["socket-id"], one["props"]["core-id"]) for one in found} == {
        (0, 0), (0, 1), (1, 0), (1, 1),
    }  # fmt: skip
    assert (await info.one(host.parts, NAME))["vcpus"] == 4


async def test_each_processor_is_bound_where_its_mask_says(host: hosts.Host) -> None:
    await begin(host, cpu_mask="0:all", beparams={"maxmem": 16, "minmem": 16, "vcpus": 2})
    every = os.sched_getaffinity(0)
    async with talking(host) as talk:
        for one in await talk.execute("query-cpus-fast"):
            wanted = {0} if one["cpu-index"] == 0 else every
            assert os.sched_getaffinity(one["thread-id"]) == wanted


async def test_memory_comes_from_where_it_is_to(host: hosts.Host) -> None:
    pages = host.layout.root / "pages"
    pages.mkdir()
    running = await begin(host, mem_path=str(pages))
    assert str(pages) in Path(f"/proc/{running.pid}/maps").read_text()  # noqa: ASYNC240
    await stop.stop(host.parts, host.instance(acpi=False), 0, [])
    assert list(pages.iterdir()) == []


async def test_a_multiqueue_nic_has_its_queues_from_the_start(host: hosts.Host) -> None:
    running = await begin(host, virtio_net_queues=3)
    fds = Path(f"/proc/{running.pid}/fd").iterdir()  # noqa: ASYNC240
    assert sum(str(fd.readlink()) == "/dev/net/tun" for fd in fds) == 3
    async with talking(host) as talk:
        (nic,) = await talk.execute("query-rx-filter")
    assert nic["name"].startswith("nic-")


async def test_the_guests_agent_can_be_reached(host: hosts.Host) -> None:
    await begin(host, use_guest_agent=True)
    _, writer = await asyncio.open_unix_connection(str(host.where.socket(NAME, ".qga")))
    writer.close()


async def test_vnc_asks_for_the_password(host: hosts.Host) -> None:
    password = host.layout.root / "password"
    password.write_text("secret\n")
    place = str(host.layout.root)
    await begin(host, vnc_bind_address=place, vnc_password_file=str(password))
    streams = await asyncio.open_unix_connection(f"{place}/{NAME}.vnc")
    assert await security_types(*streams) == {_VNC_PASSWORD}


async def test_vnc_listens_at_its_port_and_speaks_tls(host: hosts.Host) -> None:
    pki = host.layout.root / "pki"
    pki.mkdir()
    signer = nodedaemons.cluster().server.pem
    made = certificates.make_peer(signer, "host", dt.datetime.now(dt.UTC))
    (pki / "ca-cert.pem").write_bytes(made.authority)
    (pki / "server-cert.pem").write_bytes(made.certificate)
    (pki / "server-key.pem").write_bytes(made.key)
    body = host.describe(
        NAME, vnc_bind_address="lo", vnc_tls=True, vnc_x509_path=str(pki), user_shutdown=False
    )
    body["network_port"] = port = free_port()
    await start.start(host.parts, host.understood(body), paused=False, trail=[])
    assert await security_types(*await asyncio.open_connection("127.0.0.1", port)) == {_VENCRYPT}


async def test_spice_asks_for_the_password_through_tls(host: hosts.Host) -> None:
    known = await host.parts.known.of("/usr/bin/qemu-system-x86_64")
    if not known.has_spice:
        pytest.skip("needs a qemu with SPICE")
    signer = nodedaemons.cluster().server.pem
    made = certificates.make_peer(signer, "host", dt.datetime.now(dt.UTC))
    state = host.layout.state_dir
    state.mkdir(parents=True)
    (state / "spice-ca.pem").write_bytes(made.authority)
    (state / "spice.pem").write_bytes(made.key + made.certificate)
    password = host.layout.root / "password"
    password.write_text("secret\n")
    body = host.describe(
        NAME,
        spice_bind="127.0.0.1",
        spice_use_tls=True,
        spice_password_file=str(password),
        user_shutdown=False,
    )
    body["network_port"] = port = free_port()
    await start.start(host.parts, host.understood(body), paused=False, trail=[])
    async with talking(host) as talk:
        told = await talk.execute("query-spice")
    assert (told["enabled"], told["auth"], told["tls-port"]) == (True, "spice", port)
    assert "port" not in told


async def test_what_an_administrator_adds_is_on_the_line(host: hosts.Host) -> None:
    await begin(host, kvm_extra="-device virtio-rng-pci,id=luck -fw_cfg 'name=opt/x,string=a b'")
    async with talking(host) as talk:
        told = await talk.execute("qom-list", {"path": "/machine/peripheral"})
    assert "luck" in {one["name"] for one in told}


async def test_a_console_lets_a_paused_guest_go_on(host: hosts.Host) -> None:
    instance = host.instance(NAME, guests.polite(), user_shutdown=False)
    await start.start(host.parts, instance, paused=True, trail=[])
    async with talking(host) as talk:
        assert await talk.status() == "prelaunch"
    command = console.info(NAME, None, instance.hvparams, "node1", 22, host.where)["command"]
    ours, theirs = pty.openpty()
    try:
        shown = await asyncio.create_subprocess_exec(
            *command, stdin=theirs, stdout=theirs, stderr=theirs
        )
        try:
            said = b""
            async with asyncio.timeout(20):
                while b"goes on now" not in said:
                    said += await asyncio.to_thread(os.read, ours, 1000)
            async with talking(host) as talk:
                assert await talk.status() == "running"
        finally:
            shown.kill()
            await shown.wait()
    finally:
        os.close(ours)
        os.close(theirs)
