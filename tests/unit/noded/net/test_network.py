"""Taps, what they are attached to, and that nothing of them is left, on a kernel's real network."""

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import errors, paths, runner
from pyganeti.noded.net import network, nic

pytestmark = [pytest.mark.root]

TAP = "tapb30f434b9341"
NAME = "web1.example.com"
Make = Callable[..., nic.Nic]
Ip = Callable[[str], str]
Child = subprocess.Popen[bytes]


@contextlib.asynccontextmanager
async def _opened(layout: paths.Paths) -> AsyncIterator[network.Network]:
    found = network.Network(layout)
    try:
        yield found
    finally:
        await found.close()


@contextlib.asynccontextmanager
async def _running(net: network.Network, *nics: nic.Nic) -> AsyncIterator[Child]:
    """Stand in for a qemu: a process that has its instance's taps open and does nothing."""
    async with net.plug(nics) as taps:
        fds = [fd for tap in taps for fd in tap.descriptors]
        child = subprocess.Popen(["sleep", "60"], pass_fds=fds)  # noqa: ASYNC220
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def _names(ip_route: Ip) -> set[str]:
    lines = ip_route("-o link show").splitlines()
    return {line.split(": ")[1].partition("@")[0] for line in lines}


def _script(layout: paths.Paths, name: str, text: str) -> Path:
    path = layout.config_dir / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_bridged_tap_is_a_port_with_the_bridges_mtu_and_a_high_address(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        ip_route("link add br0 mtu 1400 type bridge")
        async with _opened(layout) as net:
            await net.check([make_nic()])
            async with net.plug([make_nic()]) as taps:
                assert [tap.name for tap in taps] == [TAP]
                said = ip_route(f"-d link show {TAP}")
                assert "master br0" in said
                assert "mtu 1400" in said
                assert "link/ether fe:" in said
                assert ",UP" in said
                folder = layout.run_dir / "kvm-hypervisor/nic" / NAME
                assert (folder / "0").read_text() == TAP

    namespace.run(scenario)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_tap_lives_as_long_as_who_holds_it_and_no_longer(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip, end: signal.Signals
) -> None:
    async def scenario() -> None:
        ip_route("link add br0 type bridge")
        async with _opened(layout) as net, _running(net, make_nic()) as child:
            assert TAP in _names(ip_route)
            child.send_signal(end)
            child.wait()
            assert TAP not in _names(ip_route)

    namespace.run(scenario)


def test_a_failed_start_leaves_neither_tap_nor_file(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        ip_route("link add br0 type bridge")
        before = _descriptors()
        async with _opened(layout) as net:
            with pytest.raises(RuntimeError, match="qemu died"):  # noqa: PT012
                async with net.plug([make_nic(), make_nic(index=1, uuid="")]):
                    assert {TAP, "tap0"} <= _names(ip_route)
                    raise RuntimeError("qemu died")
            assert _names(ip_route) == {"lo", "br0"}
            assert not (layout.run_dir / "kvm-hypervisor/nic" / NAME).exists()
        assert _descriptors() == before

    namespace.run(scenario)


def test_a_cancelled_start_leaves_nothing(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        ip_route("link add br0 type bridge")
        async with _opened(layout) as net:

            async def start() -> None:
                async with net.plug([make_nic()]):
                    await asyncio.Event().wait()

            for turns in range(12):
                starting = asyncio.ensure_future(start())
                for _ in range(turns):
                    await asyncio.sleep(0.0005)
                starting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await starting
            async with asyncio.timeout(10):
                while _names(ip_route) != {"lo", "br0"}:  # noqa: ASYNC110 - a thread's doing
                    await asyncio.sleep(0.005)
            assert not (layout.run_dir / "kvm-hypervisor/nic" / NAME).exists()

    namespace.run(scenario)


def test_each_queue_has_its_descriptor(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        ip_route("link add br0 type bridge")
        async with _opened(layout) as net:
            async with net.plug([make_nic()], queues=4) as taps:
                assert len(set(taps[0].descriptors)) == 4
                said = ip_route(f"-d link show {TAP}")
                assert "multi_queue" in said
                assert "vnet_hdr on" in said
                assert "persist off" in said
            async with net.plug([make_nic()], vnet_hdr=False):
                assert "vnet_hdr off" in ip_route(f"-d link show {TAP}")
            assert TAP not in _names(ip_route)

    namespace.run(scenario)


def test_a_name_that_is_taken_is_not_shared(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        ip_route("link add br0 type bridge")
        async with _opened(layout) as net, net.plug([make_nic()], queues=2) as first:
            async with net.plug([make_nic(index=1)], queues=2) as second:
                assert first[0].name == TAP
                assert second[0].name == "tap0"
            assert "tap0" not in _names(ip_route)
            assert TAP in _names(ip_route)

    namespace.run(scenario)


def test_vhost_that_is_not_there_is_said_and_nothing_left(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    if Path("/dev/vhost-net").exists():
        pytest.skip("this machine has vhost-net")

    async def scenario() -> None:
        ip_route("link add br0 type bridge")
        async with _opened(layout) as net:
            with pytest.raises(errors.Unavailable, match="/dev/vhost-net"):
                async with net.plug([make_nic()], vhost=True):
                    raise AssertionError
        assert _names(ip_route) == {"lo", "br0"}

    namespace.run(scenario)


def test_what_is_missing_is_said_beforehand(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        ip_route("link add br0 type bridge")
        async with _opened(layout) as net:
            assert await net.missing_bridges(["lo", "br0", "nosuch", "nosuch"]) == ["lo", "nosuch"]
            wrong = {
                "Missing bridges nosuch, lo$": [make_nic(link="nosuch"), make_nic(link="lo")],
                "no VLAN filtering": [make_nic(vlan="10")],
                "no IP address": [make_nic(mode="routed", link="100")],
                "no routing table nosuch": [make_nic(mode="routed", link="nosuch", ip="10.0.0.1")],
            }
            for words, nics in wrong.items():
                with pytest.raises(errors.BadInput, match=words):
                    await net.check(nics)
            await net.check([make_nic(), make_nic(mode="routed", link="", ip="10.0.0.1")])

    namespace.run(scenario)


def test_frames_go_from_tap_to_tap(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        ip_route("link add br0 type bridge mcast_snooping 0")
        ip_route("link set br0 up")
        nics = [make_nic(index=index, uuid="") for index in range(2)]
        async with _opened(layout) as net, net.plug(nics, vnet_hdr=False) as taps:
            fds = [tap.descriptors[0] for tap in taps]
            for fd in fds:
                os.set_blocking(fd, False)
            os.write(fds[0], _frame(b"hello"))
            assert _await_frame(fds[1], b"hello") == _frame(b"hello")

    namespace.run(scenario)


def test_frames_stay_within_their_vlan(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        _add_filtering_bridge(ip_route)
        nics = [
            make_nic(index=0, uuid="", vlan="10"),
            make_nic(index=1, uuid="", vlan=".10:20"),
            make_nic(index=2, uuid="", vlan=":20:30"),
            make_nic(index=3, uuid=""),
        ]
        async with _opened(layout) as net:
            await net.check(nics)
            async with net.plug(nics, vnet_hdr=False) as taps:
                fds = [tap.descriptors[0] for tap in taps]
                for fd in fds:
                    os.set_blocking(fd, False)
                assert {10, 20, 30} <= _vlans("up0")
                assert _vlans("tap0") == {10}
                assert _vlans("tap2") == {20, 30}
                plain, tagged = _frame(b"plain"), _frame(b"tagged", vlan=20)
                os.write(fds[0], plain)
                os.write(fds[2], tagged)
                assert _await_frame(fds[1], b"plain") == plain
                assert _await_frame(fds[1], b"tagged") == tagged
                assert not _has_frame(fds[3], b"plain")
                assert not _has_frame(fds[2], b"plain")
                assert not _has_frame(fds[0], b"tagged")

    namespace.run(scenario)


def test_a_vlan_that_an_interface_of_the_hosts_takes_is_refused(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        _add_filtering_bridge(ip_route)
        ip_route("link add up1 type dummy")
        ip_route("link set up1 master br0")
        ip_route("link add link up1 name up1.10 type vlan id 10")
        async with _opened(layout) as net:
            await net.check([make_nic(vlan="20")])
            with pytest.raises(errors.BadInput, match=r"VLAN 10 of up1 goes to .* up1\.10"):
                await net.check([make_nic(vlan="20"), make_nic(index=1, vlan=":20:10")])

    namespace.run(scenario)


def test_a_routed_tap_gets_the_route_and_the_rule_which_goes_when_released(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        routed = make_nic(mode="routed", link="100", ip="10.9.9.9")
        six = make_nic(index=1, uuid="", mode="routed", link="100", ip="fd00::9")
        main = make_nic(index=2, uuid="", mode="routed", link="", ip="10.9.9.10")
        async with _opened(layout) as net:
            await net.check([routed, six, main])
            async with _running(net, routed, six, main) as child:
                assert f"10.9.9.9 dev {TAP} proto static" in ip_route("route show table 100")
                assert "fd00::9 dev tap0 proto static" in ip_route("-6 route show table 100")
                assert "10.9.9.10 dev tap1 proto static" in ip_route("route show")
                assert f"iif {TAP} lookup 100" in ip_route("rule show")
                assert "iif tap0 lookup 100" in ip_route("-6 rule show")
                settings = Path(f"/proc/sys/net/ipv4/conf/{TAP}")
                assert (settings / "proxy_arp").read_text() == "1\n"
                assert (settings / "forwarding").read_text() == "1\n"
                child.kill()
                child.wait()
                assert TAP in ip_route("rule show")
                await net.release(NAME)
                assert "tap" not in ip_route("rule show") + ip_route("-6 rule show")
                assert not await net.attached(NAME)

    namespace.run(scenario)


def test_what_ended_unseen_is_swept_and_what_lives_is_left(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        routed = make_nic(mode="routed", link="100", ip="10.9.9.9")
        async with _opened(layout) as net, _running(net, routed) as child:
            assert await net.sweep() == []
            child.kill()
            child.wait()
            async with _opened(layout) as later:
                assert await later.sweep() == [NAME]
                assert await later.sweep() == []
            assert TAP not in ip_route("rule show")

    namespace.run(scenario)


def test_a_name_that_is_anothers_by_now_is_left_alone(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        mine = make_nic(uuid="", mode="routed", link="100", ip="10.9.9.9")
        other = nic.from_wire(
            "web2.example.com",
            [],
            0,
            {
                "mac": "aa:bb:cc:00:00:02",
                "ip": "10.9.9.10",
                "nicparams": {"mode": "routed", "link": "200"},
            },
        )
        async with _opened(layout) as net:
            async with _running(net, mine) as child:
                child.kill()
                child.wait()
            async with _running(net, other):
                assert "iif tap0 lookup 100" not in ip_route("rule show")
                await net.release(NAME)
                assert "iif tap0 lookup 200" in ip_route("rule show")
                assert "10.9.9.10 dev tap0" in ip_route("route show table 200")

    namespace.run(scenario)


def test_routed_nics_of_a_guest_that_arrives_wait_for_its_end(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        ip_route("link add br0 type bridge")
        routed = make_nic(mode="routed", link="100", ip="10.9.9.9")
        bridged = make_nic(index=1, uuid="")
        async with _opened(layout) as net, net.plug([routed, bridged], incoming=True):
            assert "master br0" in ip_route("link show tap0")
            assert TAP not in ip_route("rule show")
            await net.attach_routed(NAME)
            assert f"iif {TAP} lookup 100" in ip_route("rule show")

    namespace.run(scenario)


def test_the_sites_script_attaches_in_our_place_and_is_told_all(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip, tmp_path: Path
) -> None:
    async def scenario() -> None:
        ip_route("link add br0 type bridge")
        told = tmp_path / "told"
        _script(layout, "kvm-vif-bridge", f'echo "$# $1" >{told}; env >>{told}')
        _script(layout, "kvm-ifdown-custom", f'echo "$ACTION $1 $INTERFACE $MODE" >>{told}')
        made = make_nic(
            ip="10.9.9.9",
            name="front",
            vlan="10",
            network="net1",
            netinfo={"name": "net1", "uuid": "u-1", "tags": ["t"], "network": "10.9.9.0/24"},
        )
        async with _opened(layout) as net:
            await net.check([made])
            async with _running(net, made) as child:
                assert "master br0" not in ip_route(f"link show {TAP}")
                child.kill()
                child.wait()
                await net.release(NAME)
        lines = told.read_text().splitlines()
        assert lines[0] == f"1 {TAP}"
        assert lines[-1] == f"down {TAP} {TAP} bridged"
        assert {
            f"INSTANCE={NAME}",
            "MAC=aa:bb:cc:73:f4:91",
            "IP=10.9.9.9",
            "MODE=bridged",
            "LINK=br0",
            "BRIDGE=br0",
            "VLAN=10",
            f"INTERFACE={TAP}",
            "INTERFACE_INDEX=0",
            "INTERFACE_UUID=b30f434b-9341-450e-b25f-a67cb87f737c",
            "INTERFACE_NAME=front",
            "TAGS=a b",
            "NETWORK_NAME=net1",
            "NETWORK_UUID=u-1",
            "NETWORK_TAGS=t",
            "NETWORK_SUBNET=10.9.9.0/24",
            "ACTION=up",
            "LC_ALL=C",
        } <= set(lines)
        assert not any(line.startswith("PYGANETI") for line in lines)

    namespace.run(scenario)


def test_a_failing_script_fails_the_start_in_its_words(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip
) -> None:
    async def scenario() -> None:
        ip_route("link add br0 type bridge")
        _script(layout, "kvm-vif-bridge", "echo no cable; exit 3")
        async with _opened(layout) as net:
            with pytest.raises(errors.Unavailable, match=r"exited with 3; output: no cable"):
                async with net.plug([make_nic()]):
                    raise AssertionError
            assert await net.attached(NAME) == []
        assert _names(ip_route) == {"lo", "br0"}

    namespace.run(scenario)


@pytest.mark.qemu
def test_a_real_qemu_takes_the_queues_and_the_tap_goes_with_it(
    namespace: Any, layout: paths.Paths, make_nic: Make, ip_route: Ip, tmp_path: Path
) -> None:
    async def scenario() -> None:
        ip_route("link add br0 type bridge")
        pidfile = tmp_path / "pid"
        async with _opened(layout) as net:
            async with net.plug([make_nic()], queues=2) as taps:
                fds = taps[0].descriptors
                netdev = f"tap,id=n0,fds={':'.join(str(fd) for fd in fds)}"
                finished = await runner.run(
                    [
                        *("qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-S"),
                        *("-display", "none", "-daemonize", "-pidfile", str(pidfile)),
                        *("-netdev", netdev),
                        *("-device", "virtio-net-pci,mq=on,vectors=6,netdev=n0"),
                    ],
                    environment=dict(os.environ),
                    timeout=30,
                    descriptors=fds,
                )
                assert finished.status == 0, finished.output
            pid = int(pidfile.read_text())
            held = os.pidfd_open(pid)
            try:
                assert "master br0" in ip_route(f"link show {TAP}")
                os.kill(pid, signal.SIGKILL)
                await asyncio.to_thread(_wait_readable, held)
            finally:
                os.close(held)
            assert TAP not in _names(ip_route)
            await net.release(NAME)
            assert await net.sweep() == []

    namespace.run(scenario)


def _add_filtering_bridge(ip_route: Ip) -> None:
    try:
        ip_route("link add br0 type bridge vlan_filtering 1 mcast_snooping 0")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this kernel's bridges filter no VLANs: {error.stderr.strip()}")
    ip_route("link add up0 type veth peer name away")
    ip_route("link set up0 master br0")
    ip_route("link set br0 up")


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def _vlans(port: str) -> set[int]:
    said = subprocess.run(
        ["bridge", "-j", "vlan", "show", "dev", port], check=True, capture_output=True
    )
    return {vlan["vlan"] for entry in json.loads(said.stdout) for vlan in entry["vlans"]}


def _frame(text: bytes, vlan: int | None = None) -> bytes:
    tag = b"" if vlan is None else b"\x81\x00" + vlan.to_bytes(2, "big")
    source = b"\x02\x00\x00\x00\x00" + bytes([0 if vlan is None else 1])
    return b"\xff" * 6 + source + tag + b"\x88\xb5" + text.ljust(50, b".")


def _await_frame(fd: int, text: bytes) -> bytes:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            frame = os.read(fd, 2048)
            if text in frame:
                return frame
        time.sleep(0.002)
    raise AssertionError(f"no frame with {text!r} came")


def _has_frame(fd: int, text: bytes) -> bool:
    while True:
        try:
            if text in os.read(fd, 2048):
                return True
        except BlockingIOError:
            return False


def _wait_readable(fd: int) -> None:
    assert select.select([fd], [], [], 20)[0]
