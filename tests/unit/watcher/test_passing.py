"""What a pass does on a node where small programs stand for the daemons."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from pyganeti.base import daemons, filelock, log, pidfile
from pyganeti.clients import luxi, luxichannel
from pyganeti.watcher import passing, pausing, settings, wanted

from .conftest import Node

_SILENT = luxichannel.Patience(connect=0.3, answer=0.3, restart=0.3)


@pytest.fixture
def made(node: Node) -> Iterator[Node]:
    """Return a node that is no master, with its daemons' commands; end its daemons behind it."""
    for daemon in (wanted.NODED, wanted.KVMD, wanted.MASTERD):
        node.install(daemon)
    node.say_master("node2.example.com")
    yield node
    for daemon in wanted.ALL:
        if (pid := daemons.running(node.layout, daemon)) is not None:
            os.kill(pid, signal.SIGKILL)


def _chosen(node: Node, *, ignores_pause: bool = False) -> settings.Settings:
    return settings.Settings(
        layout=node.layout, rounds=settings.Rounds(ignores_pause=ignores_pause)
    )


def _hook(node: Node) -> None:
    folder = node.layout.config_dir / "hooks/watcher"
    folder.mkdir(parents=True)
    (folder / "told").write_text(f"#!/bin/sh\necho told >>{node.layout.root}/told\n")
    (folder / "told").chmod(0o755)


def _told(node: Node) -> int:
    file = node.layout.root / "told"
    return len(file.read_text().splitlines()) if file.exists() else 0


async def test_on_any_node_daemons_are_started_and_hooks_run(made: Node) -> None:
    _hook(made)
    assert await passing.make(_chosen(made)) == 0
    assert sorted(made.starts) == [wanted.KVMD, wanted.NODED]
    assert _told(made) == 1
    assert await passing.make(_chosen(made)) == 0
    assert len(made.starts) == 2
    assert _told(made) == 2


async def test_one_that_cannot_start_keeps_nothing_else_back(made: Node) -> None:
    _hook(made)
    made.have(wanted.KVMD, "fail")
    assert await passing.make(_chosen(made)) == 0
    assert daemons.running(made.layout, wanted.NODED)
    assert _told(made) == 1


async def test_where_the_watchers_daemon_runs_daemons_are_its_business(made: Node) -> None:
    _hook(made)
    held = pidfile.PidFile(made.layout.pid_file(settings.PROGRAM))
    held.acquire()
    try:
        assert await passing.make(_chosen(made)) == 0
    finally:
        held.release()
    assert made.starts == []
    assert _told(made) == 1


@pytest.mark.parametrize("ignored", [False, True])
async def test_a_pause_keeps_it_from_everything(
    ignored: bool,  # noqa: FBT001 - an example
    made: Node,
) -> None:
    made.layout.watcher_pause.write_text(f"{time.time() + 600:.0f}\n")
    assert await passing.make(_chosen(made, ignores_pause=ignored)) == 0
    assert len(made.starts) == (2 if ignored else 0)


async def test_so_does_whoever_holds_the_lock_for_himself(made: Node) -> None:
    async with filelock.exclusive(made.layout.watcher_lock):
        assert await passing.make(_chosen(made, ignores_pause=True)) == 0
    assert made.starts == []


async def test_where_nobody_can_tell_whether_it_may_act_it_does_not(made: Node) -> None:
    made.layout.lock_dir.parent.mkdir(parents=True, exist_ok=True)
    made.layout.lock_dir.touch()
    assert await passing.make(_chosen(made)) == 1
    assert made.starts == []


async def test_a_second_pass_at_the_same_time_ends_at_once(
    made: Node, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    held = pidfile.PidFile(_chosen(made).pass_file)
    held.acquire()
    try:
        assert await passing.make(_chosen(made)) == 0
    finally:
        held.release()
    assert made.starts == []
    assert "another pass is being made" in caplog.text


async def test_a_machine_in_no_cluster_is_left_alone(made: Node) -> None:
    _hook(made)
    made.layout.server_certificate.unlink()
    assert await passing.make(_chosen(made)) == 0
    assert made.starts == []
    assert not _told(made)


async def test_a_master_daemon_that_does_not_answer_is_started_anew_once(made: Node) -> None:
    """It takes connections, and that is all."""
    made.say_master(made.layout.node_name)
    assert (await daemons.launch(wanted.MASTERD)).status == 0
    first = daemons.running(made.layout, wanted.MASTERD)
    made.layout.query_socket.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening, luxi.Client(made.layout, _SILENT) as client:
        listening.bind(str(made.layout.query_socket))
        listening.listen()
        with pytest.raises(luxichannel.Silent):
            await passing.see_answering(client, made.layout, frozenset({wanted.MASTERD}))
    assert daemons.running(made.layout, wanted.MASTERD) not in {None, first}
    assert made.starts.count(wanted.MASTERD) == 2


async def test_a_pass_that_cannot_be_finished_says_why(
    made: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """No master daemon answers on the master, and none can be started."""
    made.say_master(made.layout.node_name)
    made.have(wanted.MASTERD, "fail")
    assert await asyncio.wait_for(passing.make(_chosen(made)), 30) == 1
    assert "the pass was not finished" in caplog.text


def test_flags_are_handed_on(made: Node) -> None:
    rounds = settings.Rounds(
        job_age=60, rapi_address="::1", verify_disks=False, is_strict=False, ignores_pause=True
    )
    syslog: log.Syslog = "only"
    chosen = settings.Settings(layout=made.layout, rounds=rounds, debug=True, syslog=syslog)
    assert " ".join(passing.flags(chosen)) == (
        "--job-age=60 --rapi-ip=::1 --debug --ignore-pause --no-verify-disks --no-strict"
        " --syslog=only"
    )


def test_how_this_nodes_watcher_is_needs_no_daemon(made: Node) -> None:
    *_, never = pausing.told(made.layout)
    assert never.startswith("No pass")
    until = time.time() + 600
    made.layout.watcher_pause.write_text(f"{until:.0f}\n")
    state = made.layout.state_dir / "watcher.0f5ab3e8-4b9b-4e6c-8d27-5b0ad5a3a111.data"
    state.touch()
    held = pidfile.PidFile(made.layout.pid_file(settings.PROGRAM))
    held.acquire()
    try:
        rests, runs, last = pausing.told(made.layout)
    finally:
        held.release()
    assert rests.startswith("The watcher is paused until 20")
    assert runs == f"Its daemon runs on this node (pid {os.getpid()})."
    assert last.startswith("The last pass over a node group ended at 20")


def test_only_the_master_has_all_watchers_rest(made: Node) -> None:
    with pytest.raises(luxichannel.NotMaster, match="node2"):
        pausing.pause(made.layout, 60)
    with pytest.raises(luxichannel.NotMaster, match="node2"):
        pausing.go_on(made.layout)
