"""One master at a time, whatever happens to the old one while another is made, or to who makes it.

One cluster of three candidates for all of it. Each test takes it as the one before has left it, has
it whole first, and makes another node the master.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import qemus
from lab.cluster import clusters, founding, machines, namespaces, services
from pyganeti.model.config import datafile, entries
from pyganeti.wire import standings

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("system-two-masters"),
]

_PATIENCE = 60.0


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Leave what is left here to go with the machines."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    """Make three machines one cluster, by its own commands."""
    if why_not := namespaces.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(3, founded=False) as made:
        first, *others = made.nodes
        succeeded(first, "gnt-cluster", "init", founding.NAME)
        for node in others:
            succeeded(first, "gnt-node", "add", "--token", token_of(node), node.name)
        yield made


def token_of(node: machines.Machine) -> str:
    node.spawn("ganeti-node-join", log="join.log")
    log = node.root / "join.log"
    qemus.wait_until(lambda: "gnj1-" in log.read_text(), what="a token")
    return next(line for line in log.read_text().split() if line.startswith("gnj1-"))


def succeeded(node: machines.Machine, *line: str) -> str:
    """Run a command; return what it said to those who watch."""
    done = node.run(*line, within=120)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def masterd(node: machines.Machine) -> services.Service:
    return services.Service(node, services.MASTERD)


def noded(node: machines.Machine) -> services.Service:
    return services.Service(node, services.NODED)


def has_address(node: machines.Machine) -> bool:
    return founding.MASTER_ADDRESS in node.run("ip", "-br", "-4", "addr").stdout


def until(holds: Callable[[], bool], what: str) -> None:
    qemus.wait_until(holds, what=what, within=_PATIENCE)


def whole(cluster: clusters.Cluster) -> tuple[machines.Machine, machines.Machine, machines.Machine]:
    """Have all nodes up and all copies good; return the master, and the others."""
    for node in cluster.nodes:
        node.power_on()
        cluster.switch.replug(node.port)
        if not noded(node).alive:
            noded(node).start()
    [master] = [node for node in cluster.nodes if masterd(node).alive]
    others = [node for node in cluster.nodes if node is not master]
    submit(master)  # the list of good copies is written before the answer
    until(lambda: len(good(master).names) == 2, "all copies of the queue to be good")
    until(lambda: configs(cluster) == {config_of(master)}, "all copies of the configuration")
    return master, others[0], others[1]


def good(node: machines.Machine) -> standings.Good:
    found = standings.decode_good((node.layout.queue_dir / "candidates").read_bytes())
    assert found is not None
    return found


def config_of(node: machines.Machine) -> bytes:
    return node.layout.config_data.read_bytes()


def configs(cluster: clusters.Cluster) -> set[bytes]:
    return {config_of(node) for node in cluster.nodes}


def serial_of(node: machines.Machine) -> int:
    return datafile.serial_of(datafile.parse(config_of(node))[entries.HEAD])


def submit(node: machines.Machine) -> str:
    """Have a job accepted; return its number."""
    said = succeeded(node, "gnt-debug", "delay", "--submit", "--print-jobid", "0.01")
    return said.split()[-1].rstrip(".")


def jobs(node: machines.Machine) -> set[str]:
    return set(succeeded(node, "gnt-job", "list", "--no-headers", "-o", "id").split())


def tags(node: machines.Machine) -> list[str]:
    return succeeded(node, "gnt-cluster", "list-tags").split()


def only_master(cluster: clusters.Cluster, node: machines.Machine) -> None:
    """See that a node, and no other, becomes the master, and has the address alone."""
    there = [other for other in cluster.nodes if other.is_on]
    until(lambda: [n for n in there if masterd(n).alive] == [node], "one master")
    until(lambda: [n for n in there if has_address(n)] == [node], "one address")
    told = [other.layout.ssconf("master_node") for other in there]
    until(lambda: {file.read_text().strip() for file in told} == {node.name}, "all to be told")


def test_one_that_was_frozen_steps_down_when_it_thaws_and_changes_nothing(
    cluster: clusters.Cluster,
) -> None:
    old, new, _ = whole(cluster)
    accepted = jobs(old)
    with old.frozen():
        said = succeeded(new, "gnt-cluster", "master-failover")
        assert f"{old.name} could not be told" in said
        accepted.add(submit(new))
        serial = serial_of(new)
    late = old.run("gnt-debug", "delay", "--submit", "0.01", within=60)
    assert late.returncode != 0
    only_master(cluster, new)
    assert masterd(old).log_lines("is not the master any more", new.name)
    assert jobs(new) >= accepted
    assert serial_of(new) >= serial
    whole(cluster)
    assert (old.layout.queue_dir / "serial").read_bytes() == (
        new.layout.queue_dir / "serial"
    ).read_bytes()


def test_one_whose_cable_is_out_suspends_itself_and_steps_down_when_it_is_back(
    cluster: clusters.Cluster,
) -> None:
    old, new, _ = whole(cluster)
    cluster.switch.unplug(old.port)
    masterd(old).wait_logged("the mastership has changed", "now=suspended", within=_PATIENCE)
    before = serial_of(old)
    for line in (
        ("gnt-debug", "delay", "--submit", "0.01"),
        ("gnt-cluster", "add-tags", "too-late"),
    ):
        refused = old.run(*line)
        assert refused.returncode != 0
        assert "another could have been made the master" in refused.stderr
    assert jobs(old)  # it can still be looked at
    assert serial_of(old) == before
    succeeded(new, "gnt-cluster", "master-failover")
    succeeded(new, "gnt-cluster", "add-tags", "in-time")
    cluster.switch.replug(old.port)
    only_master(cluster, new)
    assert "in-time" in tags(new)
    whole(cluster)


def test_one_that_suspended_itself_goes_on_when_it_is_back_and_nobody_took_over(
    cluster: clusters.Cluster,
) -> None:
    old, new, _ = whole(cluster)
    cluster.switch.unplug(old.port)
    suspended = len(masterd(old).log_lines("now=suspended")) + 1
    masterd(old).wait_logged("now=suspended", times=suspended, within=_PATIENCE)
    refused = new.run("gnt-cluster", "master-ping")
    assert refused.returncode != 0
    cluster.switch.replug(old.port)
    masterd(old).wait_logged("now=leading", within=_PATIENCE)
    assert submit(old) in jobs(old)
    only_master(cluster, old)


def test_one_that_is_heard_by_nobody_is_replaced_and_hears_of_it(
    cluster: clusters.Cluster,
) -> None:
    old, new, third = whole(cluster)
    cluster.lose(old, new, third)
    try:
        succeeded(new, "gnt-cluster", "master-failover")
        late = old.run("gnt-debug", "delay", "--submit", "0.01", within=60)
        assert late.returncode != 0
    finally:
        cluster.find(old, new, third)
    only_master(cluster, new)


def test_one_without_power_is_outvoted_and_brought_up_to_date(cluster: clusters.Cluster) -> None:
    old, new, _ = whole(cluster)
    accepted = jobs(old)
    old.power_off()
    succeeded(new, "gnt-cluster", "master-failover")
    accepted.add(submit(new))
    old.power_on()
    noded(old).start()
    started = old.run("ganeti-masterd", within=120)
    assert started.returncode != 0
    only_master(cluster, new)
    whole(cluster)
    assert jobs(new) >= accepted


def test_a_candidate_that_has_missed_things_begins_with_what_others_have(
    cluster: clusters.Cluster,
) -> None:
    old, stale, third = whole(cluster)
    stale.power_off()
    succeeded(old, "gnt-cluster", "add-tags", "missed")
    accepted = jobs(old) | {submit(old)}
    until(lambda: config_of(third) == config_of(old), "the third to have the configuration")
    old.power_off()
    stale.power_on()
    noded(stale).start()
    assert serial_of(stale) < serial_of(third)
    said = succeeded(stale, "gnt-cluster", "master-failover")
    assert f"fetching the configuration of {third.name}" in said
    assert f"fetching the jobs of {third.name}" in said
    assert "missed" in tags(stale)
    assert jobs(stale) >= accepted
    old.power_on()
    noded(old).start()
    only_master(cluster, stale)


def test_of_two_who_are_made_the_master_at_once_one_is(cluster: clusters.Cluster) -> None:
    old, *others = whole(cluster)
    line = ("gnt-cluster", "master-failover")
    started = [node.spawn(*line, log="failover.log") for node in others]
    assert len(started) == 2
    until(
        lambda: not any(runs(pid) for pid in started),
        "both to end",
    )
    said = {node.name: (node.root / "failover.log").read_text() for node in others}
    won = [node for node in others if masterd(node).alive]
    assert len(won) == 1, said
    only_master(cluster, won[0])
    [lost] = [node for node in others if node not in won]
    assert (
        "does not become the master" in said[lost.name]
        or "another became the master" in said[lost.name]
    )
    assert old.is_on


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def said_or_ended(pid: int, log: Path, words: str) -> None:
    """Kill a command as soon as it has said some words."""
    until(lambda: (log.exists() and words in log.read_text()) or not runs(pid), words)
    assert words in log.read_text()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not runs(pid), "its end")


def test_it_can_be_done_again_after_whatever_step_it_was_killed(
    cluster: clusters.Cluster,
) -> None:
    old, new, _ = whole(cluster)
    accepted = jobs(old) | {submit(old)}
    log = new.root / "killed.log"
    for words in ("asking the nodes", "stopping", "telling", "starting"):
        log.unlink(missing_ok=True)
        pid = new.spawn("gnt-cluster", "master-failover", log=log.name)
        said_or_ended(pid, log, words)
    again = new.run("gnt-cluster", "master-failover", within=120)
    assert again.returncode == 0 or "is the master already" in again.stderr
    only_master(cluster, new)
    assert jobs(new) >= accepted
    whole(cluster)
