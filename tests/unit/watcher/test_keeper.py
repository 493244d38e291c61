"""Daemons that fall, are stopped, cannot start, or are not to run, as real processes."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from pyganeti.base import daemons
from pyganeti.watcher import gate, keeper, wanted

from .conftest import NAME, Node

_PATIENCE = 20.0


@pytest_asyncio.fixture
async def kept(node: Node) -> AsyncIterator[keeper.Keeper]:
    """Keep a node's daemons up during a test; take them away behind it."""
    for daemon in (wanted.NODED, wanted.KVMD, wanted.MASTERD):
        node.install(daemon)
    node.have(wanted.KVMD, "not needed")
    made = keeper.Keeper(node.layout, NAME, gate.Gate(node.layout))
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    for daemon in wanted.ALL:
        if (pid := daemons.running(node.layout, daemon)) is not None:
            os.kill(pid, signal.SIGKILL)


async def _round(kept: keeper.Keeper, caplog: pytest.LogCaptureFixture) -> None:
    """Wait until a round has passed that began after this call."""
    said = "a daemon is not needed"
    await _until(lambda: said in caplog.text, "the first one has passed")
    before = caplog.text.count(said)
    kept.round()
    await _until(lambda: caplog.text.count(said) > before, "a round has passed")


async def _until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


async def _pid(node: Node, daemon: str) -> int:
    await _until(lambda: daemons.running(node.layout, daemon), f"{daemon} runs")
    pid = daemons.running(node.layout, daemon)
    assert pid is not None
    return pid


async def test_all_that_should_run_is_started_once(
    node: Node, kept: keeper.Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await _pid(node, wanted.NODED)
    await _pid(node, wanted.MASTERD)
    await _round(kept, caplog)
    assert sorted(node.starts) == [wanted.KVMD, wanted.KVMD, wanted.MASTERD, wanted.NODED]


async def test_one_that_is_killed_is_back_at_once(node: Node, kept: keeper.Keeper) -> None:
    pid = await _pid(node, wanted.NODED)
    os.kill(pid, signal.SIGKILL)
    await _until(
        lambda: daemons.running(node.layout, wanted.NODED) not in {None, pid}, "it is back"
    )
    assert node.starts.count(wanted.NODED) == 2


async def test_one_that_is_stopped_in_order_is_left_alone(
    node: Node, kept: keeper.Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    """A failover stops the master's daemon before the node hears of another master."""
    caplog.set_level("DEBUG")
    await _until(lambda: f"a daemon runs daemon={wanted.MASTERD}" in caplog.text, "it is held")
    first = await _pid(node, wanted.MASTERD)
    os.kill(first, signal.SIGTERM)
    await _until(lambda: not daemons.running(node.layout, wanted.MASTERD), "it has ended")
    await _round(kept, caplog)
    assert node.starts.count(wanted.MASTERD) == 1
    node.say_master("node2.example.com")
    await _round(kept, caplog)
    assert node.starts.count(wanted.MASTERD) == 1


async def test_one_that_cannot_start_is_tried_with_pauses(node: Node, kept: keeper.Keeper) -> None:
    pid = await _pid(node, wanted.NODED)
    node.have(wanted.NODED, "fail")
    os.kill(pid, signal.SIGKILL)
    await _until(lambda: node.starts.count(wanted.NODED) == 2, "it was tried again")
    node.have(wanted.NODED, "run")
    await _pid(node, wanted.NODED)


async def test_a_pause_holds_for_daemons_too(
    node: Node, kept: keeper.Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pid = await _pid(node, wanted.NODED)
    node.layout.watcher_pause.write_text(f"{time.time() + 600:.0f}\n")
    os.kill(pid, signal.SIGKILL)
    await _until(lambda: "the watcher rests" in caplog.text, "it would act")
    assert node.starts.count(wanted.NODED) == 1
    node.layout.watcher_pause.unlink()
    await _pid(node, wanted.NODED)


async def test_flags_are_the_administrators(node: Node, kept: keeper.Keeper) -> None:
    pid = await _pid(node, wanted.NODED)
    default = node.layout.root / "etc/default/ganeti"
    default.parent.mkdir(parents=True)
    default.write_text('NODED_ARGS="-d -p 1812"\n')
    os.kill(pid, signal.SIGKILL)
    await _until(lambda: f"{wanted.NODED} -d -p 1812" in node.starts, "it has its flags")


async def test_a_node_that_leaves_its_cluster_starts_nothing_any_more(
    node: Node, kept: keeper.Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pid = await _pid(node, wanted.NODED)
    node.layout.server_certificate.unlink()
    kept.round()
    await _until(lambda: 'daemons=""' in caplog.text, "it has noticed")
    os.kill(pid, signal.SIGKILL)
    node.layout.server_certificate.touch()  # in a cluster again, whose daemons others start
    kept.round()
    await _until(lambda: caplog.text.count("daemons to keep") == 3, "it has noticed that")
    assert node.starts.count(wanted.NODED) == 1


@pytest.mark.parametrize("daemon", [wanted.NODED, wanted.MASTERD])
async def test_what_runs_already_is_only_looked_after(node: Node, daemon: str) -> None:
    node.install(daemon)
    ended = await daemons.launch(daemon)
    assert ended.status == 0
    made = keeper.Keeper(node.layout, NAME, gate.Gate(node.layout))
    running = asyncio.create_task(made.run())
    try:
        os.kill(await _pid(node, daemon), signal.SIGKILL)
        await _until(lambda: len(node.starts) == 2, "it is started again")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        os.kill(await _pid(node, daemon), signal.SIGKILL)
