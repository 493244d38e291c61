"""The watcher on a cluster of one node: its passes, its daemon, and what keeps it from acting."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import guests, qemus, scraping, webreceivers
from lab.cluster import clusters, founding, machines, namespaces, services

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.slow,
    pytest.mark.xdist_group("system-watcher"),
]

WATCHER = "ganeti-watcher"
GUESTS = ("web1", "web2", "web3", "web4")  # a test each: one that falls again soon has to wait
_PATIENCE = 30.0
_TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    if why_not := namespaces.why_not() or qemus.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(1, founded=False) as made:
        node = made.master
        image = node.root / "guest.sector"
        image.write_bytes(guests.stubborn())
        lines: list[tuple[str, ...]] = [("gnt-cluster", "init", founding.NAME)]
        lines += [
            (
                "gnt-instance", "add", "-t", "file", "-s", "4M", "-B", "memory=16M",
                "-H", "kvm:kvm_flag=disabled", "--no-nics", "--no-name-check",
                "--ignore-ipolicy", "-o", "image", "-O", f"image={image},sha256=unchecked", guest,
            )
            for guest in GUESTS
        ]  # fmt: skip
        for line in lines:
            done = made.on(node, *line, within=60)
            assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Look for nothing: the cluster is these tests' own, and goes with them."""


@pytest.fixture
def node(cluster: clusters.Cluster) -> machines.Machine:
    return cluster.master


class Watcher(services.Service):
    """The daemon, and what it has logged in this test."""

    def __init__(self, machine: machines.Machine) -> None:
        super().__init__(machine, WATCHER, "--daemon")
        self._begin = 0
        self._begin = len(self.log)

    @property
    def log(self) -> str:
        """What was logged since the test began."""
        return super().log[self._begin :]


@pytest.fixture
def watcher(cluster: clusters.Cluster, node: machines.Machine) -> Iterator[Watcher]:
    """Run the daemon during a test."""
    daemon = Watcher(node)
    daemon.start()
    yield daemon
    if daemon.alive:
        daemon.stop()


def said(node: machines.Machine, *line: str, code: int = 0) -> str:
    done = node.run(*line)
    assert done.returncode == code, (done.stdout, done.stderr, log_of(node))
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def log_of(node: machines.Machine) -> str:
    return services.Service(node, WATCHER).log


def noded_of(node: machines.Machine) -> str:
    return services.Service(node, services.NODED).log[-3000:]


def until(holds: Callable[[], object], what: str, node: machines.Machine) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{what}\n{log_of(node)}\n{noded_of(node)}"
        time.sleep(0.01)


def qemu(node: machines.Machine, guest: str) -> int | None:
    """Return the guest's process number outside, None if it does not run."""
    try:
        inner = int((node.layout.kvm_pid_dir / guest).read_text().split()[0])
        return node.namespace.processes()[inner]
    except (OSError, KeyError, IndexError, ValueError):
        return None


def kill(node: machines.Machine, guest: str) -> int:
    """Kill the guest; return its process number."""
    until(lambda: qemu(node, guest), "the guest runs", node)
    pid = qemu(node, guest)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def is_back(node: machines.Machine, guest: str, before: int) -> bool:
    return qemu(node, guest) not in {None, before}


def kept(node: machines.Machine, daemon: str) -> set[str]:
    """Return what the watcher's figures say that happened to a daemon."""
    name = "ganeti_watcher_daemons_total"
    found = scraping.on(node, 1833)
    whats = ("fell", "started", "failed")
    return {what for what in whats if found.value(name, daemon=daemon, what=what)}


def group_of(node: machines.Machine) -> str:
    [row] = said(node, "gnt-group", "list", "-o", "uuid", "--no-headers").splitlines()
    return row.strip()


# Passes


def test_a_pass_starts_what_fell_and_leaves_its_files(node: machines.Machine, heard: Path) -> None:
    before = kill(node, GUESTS[0])
    # It has to be known as fallen: the pass looks once.
    until(lambda: "ERROR_down" in said(node, "gnt-instance", "list"), "it is down", node)
    services.Service(node, services.KVMD).kill()

    said(node, WATCHER)

    assert is_back(node, GUESTS[0], before)
    for suffix in ("tell", "web"):  # before the pass has ended
        assert "restarted" in heard.with_name(f"{heard.name}.{suffix}").read_text()
    assert services.Service(node, services.KVMD).alive
    group = group_of(node)
    state = json.loads((node.layout.state_dir / f"watcher.{group}.data").read_text())
    assert list(state["node"]) == [node.name]
    running = "\n".join(f"{guest} running" for guest in GUESTS)
    assert (node.layout.run_dir / "instance-status").read_text() == running
    listed = node.layout.state_dir / f"watcher.{group}.instance-status"
    assert listed.read_text() == running
    trails = said(node, "gnt-job", "list", "--no-headers", "-o", "summary")
    assert f"INSTANCE_STARTUP({GUESTS[0]})" in trails
    assert "GROUP_VERIFY_DISKS" not in trails, "such jobs are archived when they have ended"


def test_a_pass_runs_the_sites_hooks_and_archives_old_jobs(node: machines.Machine) -> None:
    hooks = node.layout.config_dir / "hooks/watcher"
    hooks.mkdir(parents=True)
    for name, mode in (("10-said", 0o755), ("20-not", 0o644)):
        (hooks / name).write_text(f"#!/bin/sh\necho $GANETI_HOSTNAME >{node.root}/{name}\n")
        (hooks / name).chmod(mode)
    said(node, "gnt-debug", "delay", "0.01")

    said(node, WATCHER, "--job-age", "0", "--no-verify-disks")

    assert (node.root / "10-said").read_text() == f"{node.name}\n"
    assert not (node.root / "20-not").exists()
    assert "TEST_DELAY" not in said(node, "gnt-job", "list", "-o", "summary")


def test_a_pause_keeps_passes_away_unless_told_otherwise(node: machines.Machine) -> None:
    group = group_of(node)
    state = node.layout.state_dir / f"watcher.{group}.data"
    said(node, WATCHER)
    assert "paused until" in said(node, WATCHER, "--pause", "10m")
    state.unlink()

    said(node, WATCHER)
    said(node, WATCHER, "--nodegroup", group)
    assert not state.exists()
    said(node, WATCHER, "--ignore-pause")
    assert state.exists()

    told = said(node, "gnt-cluster", "watcher", "info")
    assert "paused until" in told
    assert "does not run on this node" in told
    assert "The last pass over a node group ended at" in told
    assert "no longer paused" in said(node, WATCHER, "--continue")


def test_one_pass_a_group_at_a_time_as_with_ganetis(node: machines.Machine) -> None:
    group = group_of(node)
    state = node.layout.state_dir / f"watcher.{group}.data"
    holding = node.spawn("flock", "-F", str(state), "sleep", "60", log="holding.log")
    try:
        until(lambda: node.run("flock", "-n", state, "true").returncode, "it is locked", node)
        said(node, WATCHER, "--nodegroup", group, code=1)
        assert "another pass works on the node group" in log_of(node)
        said(node, WATCHER)  # which says so in its log, and does the rest
    finally:
        os.kill(holding, signal.SIGTERM)
    until(lambda: node.run(WATCHER, "--nodegroup", "default").returncode == 0, "it is free", node)
    said(node, WATCHER, "--nodegroup", "nosuch", code=1)
    assert "no node group nosuch is known here" in log_of(node)


def test_garbage_in_the_state_file_is_said_and_replaced(node: machines.Machine) -> None:
    state = node.layout.state_dir / f"watcher.{group_of(node)}.data"
    state.write_bytes(b"\xff{not json")

    said(node, WATCHER, "--no-wait-children")

    until(
        lambda: json.loads(state.read_text()) if b"node" in state.read_bytes() else None, "", node
    )
    assert "what earlier passes left is lost" in log_of(node)


# The daemon


def test_what_falls_is_back_in_a_moment(node: machines.Machine, watcher: Watcher) -> None:
    watcher.wait_logged("recovery begins")
    before = kill(node, GUESTS[1])
    until(lambda: is_back(node, GUESTS[1], before), "the guest is back", node)
    watcher.wait_logged("an instance was restarted")
    for command in (services.NODED, services.KVMD, services.MASTERD):
        daemon = services.Service(node, command)
        fallen = daemon.pid
        daemon.kill()
        until(lambda: daemon.pid not in {None, fallen}, f"{command} is back", node)  # noqa: B023
        what = f"{command} is counted"
        until(lambda: kept(node, command) >= {"fell", "started"}, what, node)  # noqa: B023
    until(
        lambda: node.run("gnt-cluster", "master-ping").returncode == 0, "the master answers", node
    )


def test_it_acts_neither_in_a_pause_nor_against_an_order(
    node: machines.Machine, watcher: Watcher
) -> None:
    noded = services.Service(node, services.NODED)
    watcher.wait_logged("recovery begins")
    said(node, "gnt-cluster", "watcher", "pause", "10m")
    before = kill(node, GUESTS[2])
    watcher.wait_logged("the watcher rests", "it is paused")
    assert qemu(node, GUESTS[2]) in {None, before}
    said(node, WATCHER, "--continue")
    until(lambda: is_back(node, GUESTS[2], before), "the guest is back", node)

    watcher.wait_logged("an instance was restarted")
    said(node, "gnt-cluster", "watcher", "pause", "10m")
    begun = len(noded.log_lines("INFO started"))
    noded.kill()
    watcher.wait_logged("the watcher rests", "it is paused", times=2)
    assert not noded.alive, log_of(node)
    said(node, WATCHER, "--continue")
    # One that is told to end before it has begun has not ended in order.
    until(lambda: len(noded.log_lines("INFO started")) > begun, "the node daemon is back", node)

    noded.stop()
    until(lambda: watcher.log_lines("stopped in order", services.NODED), "it has seen that", node)
    assert not noded.alive, log_of(node)
    noded.start()


@pytest.fixture
def heard(node: machines.Machine) -> Iterator[Path]:
    """Have a program of the site and a webhook be told, and keep what they hear."""
    heard = node.root / "heard"
    program = node.layout.config_dir / "hooks/instance-recovery.d/tell"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\necho $GANETI_EVENT $GANETI_CAUSE >>{heard}.{program.name}\n")
    program.chmod(0o755)
    file = node.layout.config_dir / "webhooks.toml"
    webreceivers.write(file, '[webhooks.w]\nurl = "http://127.0.0.1:8080/"\n')
    words = (sys.executable, "-m", "lab.webreceivers", "8080", f"{heard}.web")
    pid = node.spawn("env", f"PYTHONPATH={_TOP}", *words, log="receiver.log")
    yield heard
    for path in heard.parent.glob(f"{heard.name}.*"):
        path.unlink()
    os.kill(pid, signal.SIGKILL)
    file.unlink()
    program.unlink()


def test_programs_webhooks_and_figures_tell_of_it(
    node: machines.Machine, heard: Path, watcher: Watcher
) -> None:
    def lines(suffix: str) -> list[str]:
        path = heard.with_name(f"{heard.name}.{suffix}")
        return path.read_text().splitlines() if path.exists() else []

    watcher.wait_logged("recovery begins")
    until(lambda: GUESTS[3] in node.run("ganeti-kvmd", "list").stdout, "it is watched", node)
    before = kill(node, GUESTS[3])
    until(lambda: is_back(node, GUESTS[3], before), "the guest is back", node)
    until(lambda: len(lines("tell")) == len(lines("web")) == 3, "all is told", node)
    assert lines("tell") == ["stopped killed", "restarting killed", "restarted killed"]
    told = [json.loads(line) for line in lines("web")]
    assert [one["event"] for one in told] == ["stopped", "restarting", "restarted"]
    assert {one["instance"] for one in told} == {GUESTS[3]}
    assert len({one["key"] for one in told}) == len({one["cluster"] for one in told}) == 1
    assert told[2]["seconds"] > 0

    noded, masterd, own = (scraping.on(node, port) for port in (1831, 1832, 1833))
    for figures, daemon in ((noded, "noded"), (masterd, "masterd"), (own, "watcher")):
        assert scraping.differences(figures, daemon) == []
    assert (noded.value("ganeti_noded_stops_total", cause="killed") or 0) >= 1
    assert noded.value("ganeti_noded_guests_running") == len(GUESTS)
    assert noded.value("ganeti_noded_kvmd_running") == 1
    recovered = {"what": "restart", "cause": "killed", "status": "success"}
    assert (masterd.value("ganeti_masterd_recoveries_total", **recovered) or 0) >= 1
    restarted = own.value("ganeti_watcher_events_total", event="restarted", cause="killed")
    assert restarted == own.value("ganeti_watcher_restart_seconds_count") == 1
    assert own.value("ganeti_watcher_recovering") == 1
    assert own.value("ganeti_watcher_fallen") == 0
    assert own.value("ganeti_watcher_programs_total", outcome="succeeded") == 3
    sent = own.value("ganeti_watcher_webhook_events_total", webhook="w", outcome="delivered")
    assert sent == 3


def test_it_recovers_only_on_the_master(node: machines.Machine, watcher: Watcher) -> None:
    told = node.layout.ssconf("master_node")
    watcher.wait_logged("recovers")
    content = told.read_bytes()
    new = told.with_name("new")
    new.write_text("node2.lab.example\n")
    new.replace(told)
    watcher.wait_logged("not the master any more")
    new.write_bytes(content)
    new.replace(told)
    watcher.wait_logged("recovers", times=2)
    assert "already" in said(node, WATCHER, "--daemon", code=1)
    assert "(pid" in said(node, WATCHER, "--info")
