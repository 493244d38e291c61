"""The master's address on a real network of two hosts: this namespace and one beside it."""

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import errors, paths
from pyganeti.noded.net import addresses, masterip, netlink

pytestmark = [pytest.mark.root]

Ip = Callable[[str], str]
IP = "10.9.9.1"
IP6 = "fd00:9::1"


@contextlib.asynccontextmanager
async def _kernel() -> AsyncIterator[netlink.Netlink]:
    kernel = netlink.Netlink()
    try:
        yield kernel
    finally:
        await kernel.close()


@contextlib.contextmanager
def _neighbour() -> Any:
    """Make a second host, joined by a cable: ours is ``up0``, its ``up1``."""
    other = subprocess.Popen(
        ["unshare", "-n", "sh", "-c", "ip link set lo up; echo here; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == b"here\n"
        _ip("link add up0 type veth peer name up1")
        _ip(f"link set up1 netns {other.pid}")
        _ip("link set up0 up")
        _there(other, "ip link set up1 up")
        _ip("addr add 10.9.9.2/24 dev up0")
        yield other
    finally:
        other.kill()
        other.communicate()


def _ip(words: str) -> str:
    return subprocess.run(["ip", *words.split()], check=True, capture_output=True, text=True).stdout


def _there(other: subprocess.Popen[bytes], words: str) -> str:
    return subprocess.run(
        ["nsenter", "-n", "-t", str(other.pid), *words.split()],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def _wanted(**changes: Any) -> masterip.Parameters:
    said: dict[str, Any] = {"ip": IP, "netmask": 32, "netdev": "up0"} | changes
    return masterip.Parameters(**said)


def test_it_is_taken_told_of_and_given_back(namespace: Any) -> None:
    async def scenario() -> None:
        with _neighbour() as other, _listening(other) as heard:
            async with _kernel() as kernel:
                await masterip.take(kernel, _wanted())
                assert f"inet {IP}/32 scope global up0:0" in _ip("addr show up0")
                assert await kernel.ask(addresses.is_here, masterip.parse(IP))
                assert _senders(heard) >= {IP}
                await masterip.take(kernel, _wanted())
                await masterip.give_back(kernel, _wanted())
                await masterip.give_back(kernel, _wanted())
                assert IP not in _ip("addr show up0")
                assert not await kernel.ask(addresses.is_here, masterip.parse(IP))

    namespace.run(scenario)


def test_it_is_not_taken_from_another_machine(namespace: Any) -> None:
    async def scenario() -> None:
        with _neighbour() as other:
            _there(other, f"ip addr add {IP}/24 dev up1")
            async with _kernel() as kernel:
                with pytest.raises(errors.Unavailable, match="in use by another machine"):
                    await masterip.take(kernel, _wanted())
                assert IP not in _ip("addr show up0")

    namespace.run(scenario)


def test_an_ipv6_address_is_taken_and_given_back(namespace: Any) -> None:
    async def scenario() -> None:
        with _neighbour():
            async with _kernel() as kernel:
                wanted = _wanted(ip=IP6, netmask=128, ip_family=socket.AF_INET6)
                await masterip.take(kernel, wanted)
                assert f"inet6 {IP6}/128" in _ip("-6 addr show up0")
                assert "tentative" not in _ip("-6 addr show up0 to fd00:9::1")
                await masterip.give_back(kernel, wanted)
                assert IP6 not in _ip("-6 addr show up0")

    namespace.run(scenario)


def test_an_ipv6_address_is_not_taken_from_another_machine(namespace: Any) -> None:
    async def scenario() -> None:
        with _neighbour() as other:
            _there(other, f"ip addr add {IP6}/64 dev up1 nodad")
            async with _kernel() as kernel:
                with pytest.raises(errors.Unavailable, match="in use by another machine"):
                    await masterip.take(kernel, _wanted(ip=IP6, netmask=128))
                assert IP6 not in _ip("-6 addr show up0")

    namespace.run(scenario)


def test_on_another_interface_it_stays(namespace: Any) -> None:
    async def scenario() -> None:
        _ip(f"addr add {IP}/32 dev lo")
        _ip("link add br0 type bridge")
        async with _kernel() as kernel:
            with pytest.raises(errors.Unavailable, match="another interface than br0"):
                await masterip.give_back(kernel, _wanted(netdev="br0"))
            await masterip.take(kernel, _wanted(netdev="br0"))
            assert IP not in _ip("addr show br0")

    namespace.run(scenario)


def test_its_netmask_is_changed_while_it_is_here(namespace: Any) -> None:
    async def scenario() -> None:
        async with _kernel() as kernel:
            address = masterip.parse(IP)
            with pytest.raises(errors.Unavailable, match="is not here"):
                await masterip.change_netmask(kernel, "lo", address, 32, 24)
            await masterip.take(kernel, _wanted(netdev="lo"))
            await masterip.change_netmask(kernel, "lo", address, 32, 24)
            assert f"{IP}/24" in _ip("addr show lo")
            assert f"{IP}/32" not in _ip("addr show lo")

    namespace.run(scenario)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ip": "10.9.9"}, "not an IP address"),
        ({"ip": "0.0.0.0"}, "not the IP address of a machine"),  # noqa: S104 - refused
        ({"ip": "ff02::1"}, "not the IP address of a machine"),
        ({"ip": "fe80::1%lo"}, "not the IP address of a machine"),
        ({"netmask": 33}, "not the length of a netmask"),
        ({"netdev": "nosuch"}, "no network interface nosuch"),
        ({"netdev": "x" * 40}, "no network interface"),
    ],
)
def test_what_makes_no_sense_is_refused(
    namespace: Any, changes: dict[str, Any], words: str
) -> None:
    async def scenario() -> None:
        async with _kernel() as kernel:
            with pytest.raises(errors.BadInput, match=words):
                await masterip.take(kernel, _wanted(**({"netdev": "lo"} | changes)))

    namespace.run(scenario)


async def test_the_sites_program_does_it_if_it_is_to(tmp_path: Path) -> None:
    layout = paths.Paths(tmp_path)
    program = layout.config_dir / masterip.PROGRAM
    with pytest.raises(errors.Unavailable, match="cannot be run"):
        await masterip.run_program(layout, "start", _wanted())
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho $1 >{tmp_path}/told; env | sort >>{tmp_path}/told\n")
    program.chmod(0o755)
    await masterip.run_program(layout, "start", _wanted())
    told = (tmp_path / "told").read_text().splitlines()
    assert told[0] == "start"
    assert {
        "MASTER_NETDEV=up0",
        f"MASTER_IP={IP}",
        "MASTER_NETMASK=32",
        "CLUSTER_IP_VERSION=4",
    } <= set(told)
    program.write_text("#!/bin/sh\necho broken; exit 4\n")
    with pytest.raises(errors.Unavailable, match=r"Failed to stop .* returned 4, .*broken"):
        await masterip.run_program(layout, "stop", _wanted())


@contextlib.contextmanager
def _listening(other: subprocess.Popen[bytes]) -> Any:
    """Open a socket on the other host that hears all ARP there."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{other.pid}/ns/net", os.O_RDONLY)
    try:
        assert libc.setns(there, 0) == 0
        heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        heard.settimeout(0)
    finally:
        libc.setns(here, 0)
        os.close(here)
        os.close(there)
    with heard:
        yield heard


def _senders(heard: socket.socket) -> set[str]:
    """Return the sender addresses of the ARP packets heard so far."""
    found = set()
    with contextlib.suppress(BlockingIOError):
        while True:
            found.add(socket.inet_ntoa(heard.recv(2048)[28:32]))
    return found
