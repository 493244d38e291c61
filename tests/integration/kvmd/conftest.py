"""Real qemus under a real daemon: a fresh pair for each test, or one that many tests share.

Tests that only end a guest of their own share a daemon, for speed; each has names of its own. Tests
that kill, starve or misconfigure the daemon have their own. The log is shown when a test fails.
"""

import itertools
from collections.abc import Callable, Iterator

import pytest

from lab import daemons, qemus

_NUMBERS = itertools.count(1)


@pytest.fixture
def node() -> Iterator[qemus.Qemus]:
    with qemus.Qemus(limit=120) as node:
        yield node


@pytest.fixture
def kvmd(node: qemus.Qemus) -> Iterator[daemons.Kvmd]:
    with daemons.Kvmd(node) as kvmd:
        yield kvmd
        print(kvmd.log)  # noqa: T201 - pytest shows it if the test failed


@pytest.fixture(scope="module")
def shared() -> Iterator[daemons.Kvmd]:
    with qemus.Qemus() as node, daemons.Kvmd(node) as kvmd:
        yield kvmd


@pytest.fixture
def start(shared: daemons.Kvmd) -> Iterator[Callable[..., qemus.Qemu]]:
    """Start a qemu under the shared daemon and wait until it is watched; it ends with the test."""
    started: list[qemus.Qemu] = []

    def start(
        sector: bytes, machine: qemus.Machine = qemus.PLAIN, name: str | None = None
    ) -> qemus.Qemu:
        qemu = shared.node.start(name or f"guest{next(_NUMBERS)}", sector, machine)
        started.append(qemu)
        shared.wait_watching(qemu)
        return qemu

    before = len(shared.log)
    yield start
    print(shared.log[before:])  # noqa: T201 - pytest shows it if the test failed
    for qemu in started:
        qemu.kill()
        qemu.close()
        for suffix in (".serial", *qemu.machine.sockets):
            qemu.path(suffix).unlink(missing_ok=True)
    # Ended, closed, gone: the node need not look after them.
    shared.node.started[:] = [qemu for qemu in shared.node.started if qemu not in started]
