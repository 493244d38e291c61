"""Networks of their own to test in: one a test, gone with its last thread, also on failure.

A test's scenario runs on an event loop in a thread that has left for a new network namespace; the
loop's worker threads and whatever is started from there belong to it, too.
"""

import asyncio
import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import paths
from pyganeti.noded.net import nic

_CLONE_NEWNET = 0x40000000
UUID = "b30f434b-9341-450e-b25f-a67cb87f737c"


class Namespace:
    """Runs scenarios in one network namespace."""

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario to its end in a new namespace, whose loopback is up."""
        raised: list[BaseException] = []

        def work() -> None:
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.unshare(_CLONE_NEWNET) != 0:
                    why = os.strerror(ctypes.get_errno())
                    pytest.skip(f"may not make a network namespace: {why}")
                ip("link set lo up")
                asyncio.run(scenario())
            except BaseException as error:  # noqa: BLE001 - it is raised where the test is
                raised.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if raised:
            raise raised[0]


def ip(words: str) -> str:
    """Have iproute2 do something where the calling thread is."""
    return subprocess.run(["ip", *words.split()], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def namespace() -> Namespace:
    if not Path("/dev/net/tun").exists():
        pytest.skip("needs /dev/net/tun (module tun)")
    return Namespace()


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    found = paths.Paths(tmp_path)
    found.config_dir.mkdir(parents=True)
    return found


@pytest.fixture
def make_nic() -> Callable[..., nic.Nic]:
    """Return what makes a NIC from its dictionary; bridged on br0 unless told otherwise."""

    def make(**changes: Any) -> nic.Nic:
        parameters = {"mode": "bridged", "link": "br0", "vlan": ""}
        for key in parameters.keys() & changes.keys():
            parameters[key] = changes.pop(key)
        index = changes.pop("index", 0)
        sent = {"mac": "aa:bb:cc:73:f4:91", "uuid": UUID, "nicparams": parameters, **changes}
        return nic.from_wire("web1.example.com", ["a", "b"], index, sent)

    return make


@pytest.fixture
def ip_route() -> Callable[[str], str]:
    return ip
