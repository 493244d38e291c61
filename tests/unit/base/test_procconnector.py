"""The real proc connector: what it tells, what its filter keeps out, what it is when it drops."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pyganeti.base import errors, procconnector

pytestmark = pytest.mark.root


@pytest.fixture
def connector() -> Iterator[procconnector.ProcConnector]:
    opened = procconnector.ProcConnector()
    try:
        opened.open()
    except errors.Unavailable as error:
        pytest.skip(f"needs the proc connector: {error}")
    yield opened
    opened.close()


def _collect(
    connector: procconnector.ProcConnector, wanted: set[int]
) -> dict[int, procconnector.Ended]:
    """Drain until all of ``wanted`` have been reported; return all that has been."""
    found: dict[int, procconnector.Ended] = {}
    poll = select.poll()
    poll.register(connector.fileno(), select.POLLIN)
    deadline = time.monotonic() + 10
    while not wanted <= found.keys():
        assert time.monotonic() < deadline, f"never reported: {wanted - found.keys()}"
        poll.poll(100)
        found |= {ended.pid: ended for ended in connector.drain()}
    return found


def test_exit_codes_and_signals_are_told(connector: procconnector.ProcConnector) -> None:
    with subprocess.Popen(["sh", "-c", "exit 83"]) as child:
        child.wait()
    with subprocess.Popen(["sleep", "600"]) as killed:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    found = _collect(connector, {child.pid, killed.pid})
    assert found[child.pid].wait_status == 83 << 8
    assert found[killed.pid].wait_status == signal.SIGKILL


def test_threads_forks_and_execs_are_kept_out(connector: procconnector.ProcConnector) -> None:
    for _ in range(20):
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert os.getpid() not in _collect(connector, {child.pid})


def test_nothing_to_tell_is_an_empty_list(connector: procconnector.ProcConnector) -> None:
    while connector.drain():
        pass
    assert connector.lost == 0


def test_what_the_kernel_drops_is_counted_and_what_comes_later_is_told(
    connector: procconnector.ProcConnector,
) -> None:
    same = socket.socket(fileno=os.dup(connector.fileno()))
    with same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    for _ in range(40):
        subprocess.run(["true"], check=True)
    while connector.drain():
        pass
    assert connector.lost > 0
    with subprocess.Popen(["sh", "-c", "exit 5"]) as child:
        child.wait()
    assert _collect(connector, {child.pid})[child.pid].wait_status == 5 << 8


def test_closed_it_tells_nothing_and_can_be_closed_again(
    connector: procconnector.ProcConnector,
) -> None:
    connector.close()
    connector.close()
    assert connector.drain() == []
    assert connector.fileno() == -1


def test_where_the_kernel_keeps_silent_it_is_unavailable() -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare (Debian package util-linux)")
    script = (
        "from pyganeti.base import errors, procconnector\n"
        "try:\n"
        "    procconnector.ProcConnector().open()\n"
        "except errors.Unavailable:\n"
        "    print('unavailable')\n"
    )
    finished = subprocess.run(
        ["unshare", "--fork", "--pid", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if "unshare failed" in finished.stderr or "Operation not permitted" in finished.stderr:
        pytest.skip(f"needs a pid namespace of its own: {finished.stderr.strip()}")
    assert finished.stdout == "unavailable\n", finished.stderr
