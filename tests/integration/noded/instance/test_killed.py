"""kill -9 of the node daemon in the middle of a call: the next call finishes or undoes it."""

import asyncio
import contextlib
import http.client
import threading
import time
from collections.abc import Callable
from pathlib import Path  # noqa: TC003

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
