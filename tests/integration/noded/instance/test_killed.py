"""kill -9 of the node daemon in the middle of a call: the next call finishes or undoes it."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import guests, hosts, nodedaemons
from pyganeti.noded.qemu import process

pytestmark = [pytest.mark.qemu, pytest.mark.root]

NAME = "k1.example.com"


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0005)


@pytest.mark.parametrize("moment", ["runtime", "taps", "pid", "socket"])
async def test_a_start_that_was_killed_can_be_made_again(host: hosts.Host, moment: str) -> None:
    body = host.describe(sector=guests.polite(), user_shutdown=False)
    there: dict[str, Path] = {
        "runtime": host.where.runtime(NAME),
        "taps": host.where.taps / NAME / "0",
        "pid": host.where.pid_file(NAME),
        "socket": host.where.socket(NAME, ".kvmd"),
    }

    def work() -> None:
        with nodedaemons.Noded(host.layout.root) as noded:

            def ask() -> None:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    noded.call("instance_start", body, False, [])  # noqa: FBT003

            asking = threading.Thread(target=ask)
            asking.start()
            _wait(there[moment].exists)
            noded.kill()
            asking.join()
            noded.start()
            noded.call("instance_start", body, False, [])  # noqa: FBT003
            told = noded.call("instance_info", NAME, "kvm", {})
            assert told == {"memory": 16, "vcpus": 1, "state": 0, "time": 0}
            noded.kill()
            noded.start()
            assert noded.call("instance_list", ["kvm"], {"kvm": {}}) == [NAME]
            noded.call("instance_shutdown", body, 20, [])
            assert noded.call("instance_info", NAME, "kvm", {}) == {}

    await asyncio.to_thread(work)
    assert process.find(host.where, NAME) is None
    assert host.left(".intent") == []


def _cut(
    noded: nodedaemons.Noded, reached: Callable[[], bool], call: str, *arguments: object
) -> None:
    """Kill the daemon in the middle of a call, as soon as that is reached; start it again."""

    def ask() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            noded.call(call, *arguments)

    asking = threading.Thread(target=ask)
    asking.start()
    _wait(reached)
    noded.kill()
    asking.join()
    noded.start()


async def test_a_stop_that_was_killed_can_be_made_again(host: hosts.Host) -> None:
    body = host.describe(sector=guests.stubborn(), user_shutdown=False)
    intent = host.where.control / f"{NAME}.intent"

    def work() -> None:
        with nodedaemons.Noded(host.layout.root) as noded:
            noded.call("instance_start", body, False, [])  # noqa: FBT003
            _cut(noded, intent.exists, "instance_shutdown", body, 60, [])
            assert noded.call("instance_info", NAME, "kvm", {})["state"] == 0
            noded.call("instance_shutdown", body, 0, [])
            assert noded.call("instance_info", NAME, "kvm", {}) == {}

    await asyncio.to_thread(work)
    assert process.find(host.where, NAME) is None
    assert host.left(".intent") == []
    assert host.taps() == []


@pytest.mark.parametrize("moment", ["tap", "files", "written", "plugged"])
async def test_a_hotplug_that_was_killed_can_be_made_again(host: hosts.Host, moment: str) -> None:
    body = host.describe(sector=guests.generous(), user_shutdown=False)
    nic = {**body["nics"][0], "uuid": str(uuid.uuid4()), "mac": "aa:00:00:00:00:99"}
    tap = Path("/sys/class/net") / ("tap" + nic["uuid"].replace("-", "")[:12])
    runtime = host.where.runtime(NAME)
    reached: dict[str, Callable[[], bool]] = {
        "tap": tap.exists,
        "files": (host.where.taps / NAME / "1.json").exists,
        "written": lambda: nic["uuid"] in runtime.read_text(),
        # As soon as it has the tap from us.
        "plugged": lambda: tap.exists() and _opened(host) > 1,
    }

    def work() -> None:
        with nodedaemons.Noded(host.layout.root) as noded:
            noded.call("instance_start", body, False, [])  # noqa: FBT003
            noded.wait(lambda: _opened(host) == 1)
            plug = ("hotplug_device", body, "hotadd", "nic", nic, None, 1)
            _cut(noded, reached[moment], *plug)
            noded.call(*plug)
            command, nics, _, _ = json.loads(noded.call("migration_info", body))
            assert [one["uuid"] for one in nics] == [body["nics"][0]["uuid"], nic["uuid"]]
            assert command[2] == NAME
            assert _opened(host) == 2
            noded.call("hotplug_supported", body)
            noded.call("hotplug_device", body, "hotremove", "nic", nic, None, 1)
            assert _opened(host) == 1
            noded.call("instance_shutdown", body, 0, [])

    await asyncio.to_thread(work)
    assert host.left(".intent") == []
    assert host.taps() == []
    assert not tap.exists()


def _opened(host: hosts.Host) -> int:
    """Return how many taps the qemu has open."""
    running = host.running()
    fds = Path(f"/proc/{running.pid}/fd") if running else Path("/nonexistent")
    taps = 0
    for fd in fds.iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            taps += str(fd.readlink()) == "/dev/net/tun"
    return taps


@pytest.mark.parametrize("moment", ["runtime", "pid", "listening"])
async def test_awaiting_a_guest_that_was_killed_can_be_undone_and_made_again(
    host: hosts.Host, moment: str
) -> None:
    body = host.describe(sector=guests.polite(), user_shutdown=False)
    body["hvparams"]["migration_port"] = port = _free_port()
    reached: dict[str, Callable[[], bool]] = {
        "runtime": host.where.runtime(NAME).exists,
        "pid": host.where.pid_file(NAME).exists,
        "listening": lambda: f":{port:04X} " in Path("/proc/net/tcp").read_text(),
    }

    def work() -> None:
        with nodedaemons.Noded(host.layout.root) as noded:
            noded.call("instance_start", body, False, [])  # noqa: FBT003
            told = noded.call("migration_info", body)
            noded.call("instance_shutdown", body, 0, [])
            accept = ("accept_instance", body, told, "127.0.0.1")
            finish = ("instance_finalize_migration_dst", body, told, False)
            for _ in range(2):
                _cut(noded, reached[moment], *accept)
                noded.call(*finish)
                assert noded.call("instance_list", ["kvm"], {}) == []
                assert host.left(".intent") == []
            noded.call(*accept)
            noded.call(*finish)

    await asyncio.to_thread(work)
    assert host.left(".intent") == []
    assert host.taps() == []


def _free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port: int = free.getsockname()[1]
    return port
