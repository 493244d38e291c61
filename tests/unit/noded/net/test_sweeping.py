"""What taps leave behind goes when they do, on a kernel's real network."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import paths
from pyganeti.noded.net import departures, network, nic, sweeping

pytestmark = [pytest.mark.root]

Make = Callable[..., nic.Nic]
Ip = Callable[[str], str]


@contextlib.asynccontextmanager
async def _sweeping(layout: paths.Paths) -> AsyncIterator[network.Network]:
    net = network.Network(layout)
    swept = sweeping.Sweeping(net)
    swept.start()
    try:
        yield net
    finally:
        await swept.close()
        await net.close()


async def _start(net: network.Network, *nics: nic.Nic) -> subprocess.Popen[bytes]:
    """Stand in for a qemu: a process that has its instance's taps open and does nothing."""
    async with net.plug(nics) as taps:
        fds = [fd for tap in taps for fd in tap.descriptors]
        return subprocess.Popen(["sleep", "60"], pass_fds=fds)  # noqa: ASYNC220


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - the kernel's tables wake nobody
            await asyncio.sleep(0.01)


def _routed(make_nic: Make, instance: str, number: int) -> nic.Nic:
    sent = {
        "mac": f"aa:bb:cc:00:00:{number:02x}",
        "uuid": f"{number:012d}-9341-450e-b25f-a67cb87f737c",
        "ip": f"10.9.9.{number}",
        "nicparams": {"mode": "routed", "link": "100"},
    }
    return nic.from_wire(instance, [], 0, sent)


def test_a_killed_guests_rules_files_and_scripts_are_seen_to_at_once(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip, tmp_path: Path
) -> None:
    async def scenario() -> None:
        told = tmp_path / "told"
        script = layout.config_dir / "kvm-ifdown-custom"
        script.write_text(f'#!/bin/sh\necho "$INSTANCE $ACTION $INTERFACE" >>{told}\n')
        script.chmod(0o755)
        async with _sweeping(layout) as net:
            killed = await _start(net, _routed(make_nic, "web1", 1))
            lives = await _start(net, _routed(make_nic, "web2", 2))
            try:
                assert "iif tap000000000001 lookup 100" in ip_route("rule show")
                killed.kill()
                killed.wait()
                await _until(lambda: "tap000000000001" not in ip_route("rule show"))
                await _until(lambda: not (layout.run_dir / "kvm-hypervisor/nic/web1").exists())
                assert told.read_text() == "web1 down tap000000000001\n"
                assert "iif tap000000000002 lookup 100" in ip_route("rule show")
                assert [one.tap for one in await net.attached("web2")] == ["tap000000000002"]
            finally:
                lives.kill()
                lives.wait()
            await _until(lambda: "tap" not in ip_route("rule show"))

    namespace.run(scenario)


def test_many_that_go_at_once_are_all_seen_to(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        async with _sweeping(layout) as net:
            guests = [
                await _start(net, _routed(make_nic, f"web{number}", number))
                for number in range(1, 31)
            ]
            assert ip_route("rule show").count("lookup 100") == 30
            for guest in guests:
                guest.kill()
                guest.wait()
            await _until(lambda: "lookup 100" not in ip_route("rule show"))
            await _until(lambda: not list((layout.run_dir / "kvm-hypervisor/nic").iterdir()))

    namespace.run(scenario)


def test_other_interfaces_that_go_are_nobodys_news(namespace: Any, ip_route: Ip) -> None:
    async def scenario() -> None:
        heard = asyncio.Event()
        listening = departures.Departures(heard.set)
        listening.open()
        try:
            ip_route("link add br7 type bridge")
            ip_route("link del br7")
            ip_route("tuntap add tap7 mode tap")
            await asyncio.sleep(0.05)
            assert not heard.is_set()
            ip_route("tuntap del tap7 mode tap")
            async with asyncio.timeout(10):
                await heard.wait()
        finally:
            listening.close()

    namespace.run(scenario)


def test_where_the_kernel_does_not_tell_it_is_looked_for(
    namespace: Any,
    layout: paths.Paths,
    make_nic: Make,
    ip_route: Ip,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: departures.Departures) -> None:
        raise OSError(93, "Protocol not supported")

    monkeypatch.setattr(departures.Departures, "open", refuse)
    monkeypatch.setattr(sweeping, "_AGAIN", 0.1)

    async def scenario() -> None:
        async with _sweeping(layout) as net:
            killed = await _start(net, _routed(make_nic, "web1", 1))
            killed.kill()
            killed.wait()
            await _until(lambda: "tap" not in ip_route("rule show"))

    namespace.run(scenario)
