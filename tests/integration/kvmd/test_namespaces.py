"""A daemon in a pid namespace of its own: it sees the sockets, and none of the processes."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from lab import daemons, qemus, tinyqemus

pytestmark = pytest.mark.root

_APART = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
_GRACE = 4.5
"""Seconds after which it used to give up a guest that it could not reach, start included."""


@pytest.fixture
def apart(node: qemus.Qemus) -> Iterator[daemons.Kvmd]:
    tried = subprocess.run(
        [*_APART, "true"], check=False, capture_output=True, text=True, timeout=20
    )
    if tried.returncode:
        pytest.skip(f"may have no namespaces here: {tried.stderr.strip()}")
    node.ctrl_dir.mkdir(parents=True, exist_ok=True)
    with daemons.Kvmd(node, wrapper=_APART) as apart:
        yield apart
        print(apart.log)  # noqa: T201 - pytest shows it if the test failed


@pytest.fixture
def web1(node: qemus.Qemus, apart: daemons.Kvmd) -> Iterator[tinyqemus.TinyQemu]:
    web1 = tinyqemus.TinyQemu(node.ctrl_dir / "web1.kvmd")
    qemus.wait_until(lambda: "web1" in apart.watched(), what="watch over web1")
    assert apart.watched()["web1"].pid is None
    yield web1
    web1.close()


def _causes(apart: daemons.Kvmd) -> list[str]:
    return [str(stop.cause) for stop in apart.recorded("web1")]


def test_power_off_is_seen_without_the_process(
    apart: daemons.Kvmd, web1: tinyqemus.TinyQemu
) -> None:
    web1.power_off()
    qemus.wait_until(lambda: _causes(apart) == ["user-poweroff"], what="the stop")


def test_qemu_that_died_silently_is_unknown(apart: daemons.Kvmd, web1: tinyqemus.TinyQemu) -> None:
    web1.kill()
    qemus.wait_until(lambda: _causes(apart) == ["unknown"], what="the stop")


def test_qemu_that_serves_another_client_has_not_stopped(
    apart: daemons.Kvmd, web1: tinyqemus.TinyQemu
) -> None:
    apart.kill()
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as other:
        other.connect(str(web1.path))
        other.recv(4096)
        apart.start()
        time.sleep(_GRACE)
        assert _causes(apart) == []
    apart.wait_logged("reached at last")
    web1.power_off()
    qemus.wait_until(lambda: _causes(apart) == ["user-poweroff"], what="the stop")
