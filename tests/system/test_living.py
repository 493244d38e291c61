"""What is done to instances that stay where they are: looked at, reached, grown, stopped, started.

Every word of the table of statuses is seen on real nodes here.
"""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from lab import consoles, qemus, qmpclient
from lab.cluster import clusters, conductor, instances, machines, masters

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.xdist_group("system-living"),
]

DOMAIN = machines.DOMAIN
WEB, FAR, BRIEF = (f"{name}.{DOMAIN}" for name in ("web", "far", "brief"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    with clusters.Cluster(2) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Leave it to the module's end: tests here go on from one another."""


@pytest.fixture(scope="module")
def master(cluster: clusters.Cluster) -> Iterator[masters.Master]:
    first, second = cluster.nodes
    placed = [
        (instances.Instance(WEB, cluster.shared, nics=1), first),
        (instances.Instance(FAR, cluster.shared, nics=1), second),
        (instances.Instance(BRIEF, cluster.shared), first),
    ]
    with masters.started(cluster, placed) as started:
        yield started


@pytest.fixture
def web(cluster: clusters.Cluster, master: masters.Master) -> Iterator[machines.Machine]:
    """Have web run on the first node; return that."""
    first = cluster.nodes[0]
    master.run("gnt-instance", "startup", WEB)
    yield first
    cluster.start(*cluster.nodes)
    master.run("gnt-instance", "shutdown", "--timeout", "0", WEB)


def console(node: machines.Machine, name: str = WEB) -> consoles.Console:
    return consoles.Console(node.layout.ctrl_dir / f"{name}.serial")


def info(master: masters.Master, *words: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(master.run("gnt-instance", "info", "--json", *words))
    return told


# What is told.


def test_everything_about_an_instance_is_told(
    master: masters.Master, web: machines.Machine
) -> None:
    told = info(master, WEB)
    assert (told["config_state"], told["run_state"], told["pnode"]) == ("up", "up", web.name)
    assert told["disk_template"] == "sharedfile"
    [disk] = told["disks"]
    assert disk["pstatus"][0].endswith("/web.lab.example/disk0")

    lines = master.run("gnt-instance", "info", "web").splitlines()

    assert f"Instance name: {WEB}" in lines
    assert "State: configured to be up, actual state is up" in lines
    assert "  - primary: node1.lab.example" in lines
    assert "  acpi: default (True)" in lines
    assert "  maxmem: 16" in lines
    assert any("disk/0: sharedfile, size 1M" in line for line in lines)
    assert any("mode: bridged" in line for line in lines)


def test_static_information_asks_no_node(cluster: clusters.Cluster, master: masters.Master) -> None:
    before = len(cluster.noded(cluster.nodes[1]).log)

    told = info(master, "--static", FAR)

    assert told["run_state"] is None
    assert "call=instance_info" not in cluster.noded(cluster.nodes[1]).log[before:]
    assert master.command("gnt-instance", "info").returncode == 1
    assert "no instance 'nosuch'" in master.command("gnt-instance", "info", "nosuch").stderr
    both = master.run("gnt-instance", "info", "--all", "--static", "--json").splitlines()
    assert [json.loads(line)["name"] for line in both] == [BRIEF, FAR, WEB]


# The console.


def test_the_console_attaches(master: masters.Master, web: machines.Machine) -> None:
    with console(web) as guest:
        guest.wait_up()

    said = master.run("gnt-instance", "console", WEB, given="aN")

    assert said == "aN\x01"


def test_the_console_lets_a_guest_go_on_that_was_started_paused(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    first = cluster.nodes[0]
    master.run("gnt-instance", "startup", "--paused", WEB)
    try:
        said = master.command("gnt-instance", "console", WEB)

        assert said.returncode == 0, said.stderr
        with console(first) as guest:
            assert guest.wait_up().count() == 1
    finally:
        master.run("gnt-instance", "shutdown", "--timeout", "0", WEB)


def test_a_console_elsewhere_is_reached_by_ssh(master: masters.Master) -> None:
    master.run("gnt-instance", "startup", FAR)
    try:
        shown = master.run("gnt-instance", "console", "--show-cmd", FAR)
        assert shown.startswith("ssh ")
        assert "node2.lab.example" in shown
        assert f"{FAR}.serial" in shown
    finally:
        master.run("gnt-instance", "shutdown", "--timeout", "0", FAR)
    refused = master.command("gnt-instance", "console", FAR)
    assert refused.returncode == 1
    assert "not running (state ADMIN_down)" in refused.stderr


# Starting and rebooting.


@pytest.mark.parametrize("kind", ["soft", "hard", "full"])
def test_a_rebooted_guest_boots_anew(
    master: masters.Master, web: machines.Machine, kind: str
) -> None:
    with console(web) as guest:
        assert [guest.wait_up().count(), guest.count()] == [1, 2]

    master.run("gnt-instance", "reboot", "-t", kind, "--shutdown-timeout", "10", WEB)

    with console(web) as guest:
        assert guest.wait_up().count() == 1
    assert master.status(WEB) == "running"


def test_one_that_is_down_is_started_by_a_reboot(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    said = master.run("gnt-instance", "reboot", FAR)

    assert "was already stopped, starting now" in said
    assert master.status(FAR) == "running"
    master.run("gnt-instance", "shutdown", "--timeout", "0", FAR)


def test_parameters_may_differ_for_one_start(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    master.run("gnt-instance", "startup", "--paused", "-B", "memory=24M", FAR)
    try:
        [[memory]] = master.table("gnt-instance", "list", "-o", "oper_ram", "--units=m", FAR)
        assert memory == "24"
        assert info(master, FAR)["be_actual"]["maxmem"] == 16
        path = cluster.nodes[1].layout.ctrl_dir / f"{FAR}.qmp"
        with qmpclient.Client(path) as qmp:
            assert not qmp.command("query-status")["running"]
    finally:
        master.run("gnt-instance", "shutdown", "--timeout", "0", FAR)


def test_what_a_node_has_no_memory_for_is_not_started(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    refused = master.command("gnt-instance", "startup", "-B", "memory=64T", FAR)

    assert refused.returncode == 1
    assert "Not enough memory on node node2.lab.example" in refused.stderr
    assert master.status(FAR) == "ADMIN_down"


# Disks.


def test_disks_are_made_ready_and_let_go(cluster: clusters.Cluster, master: masters.Master) -> None:
    second = cluster.nodes[1]
    link = second.layout.run_dir / "instance-disks" / f"{FAR}:0"

    said = master.run("gnt-instance", "activate-disks", FAR)

    assert said.strip().startswith(f"{second.name}:disk/0:/")
    assert link.is_symlink()
    assert master.table("gnt-instance", "list", "-o", "disks_active", FAR) == [["Y"]]
    master.run("gnt-instance", "deactivate-disks", FAR)
    assert master.table("gnt-instance", "list", "-o", "disks_active", FAR) == [["N"]]


def test_disks_in_use_are_not_let_go(master: masters.Master, web: machines.Machine) -> None:
    refused = master.command("gnt-instance", "deactivate-disks", WEB)

    assert refused.returncode == 1
    assert "marked to be up" in refused.stderr


def test_a_disk_grows_under_a_running_guest(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    file = cluster.shared / WEB / "disk0"

    against = master.command("gnt-instance", "grow-disk", WEB, "0", "4M")
    assert against.returncode == 1
    assert "violates policy" in against.stderr
    master.run("gnt-instance", "grow-disk", "--ignore-ipolicy", WEB, "0", "4M")
    assert file.stat().st_size == 5 << 20
    assert master.table("gnt-instance", "list", "-o", "disk.size/0", WEB) == [["5"]]
    master.run("gnt-instance", "grow-disk", "--ignore-ipolicy", "--absolute", WEB, "0", "8M")
    assert file.stat().st_size == 8 << 20

    for words, why in (
        (("grow-disk", "--absolute", WEB, "0", "4M"), "smaller than current"),
        (("grow-disk", WEB, "3", "1M"), "has 1 disks"),
        (("grow-disk", WEB, "0", "much"), "much"),
    ):
        refused = master.command("gnt-instance", *words)
        assert refused.returncode
        assert why in refused.stderr
    assert file.stat().st_size == 8 << 20


# The table of statuses.


def test_running(master: masters.Master, web: machines.Machine) -> None:
    assert master.status(WEB) == "running"


def test_user_down_when_the_guest_powers_itself_off(
    master: masters.Master, web: machines.Machine
) -> None:
    with console(web) as guest:
        guest.wait_up().say("P")
    qemus.wait_until(lambda: master.status(WEB) == "USER_down", what="USER_down")
    # Where its user may not, it has fallen; both switches have to say that he may.
    master.run("gnt-instance", "modify", "-H", "user_shutdown=no", WEB)
    assert master.status(WEB) == "ERROR_down"
    master.run("gnt-instance", "modify", "-H", "user_shutdown=default", WEB)
    assert master.status(WEB) == "USER_down"
    master.run("gnt-cluster", "modify", "--user-shutdown", "no")
    assert master.status(WEB) == "ERROR_down"
    master.run("gnt-cluster", "modify", "--user-shutdown", "yes")
    # Its user wants it down: that is remembered, as the watcher has it.
    master.run("gnt-debug", "submit-job", *job(master, admin_state_source="user"))
    assert master.table("gnt-instance", "list", "-o", "admin_state,admin_state_source", WEB) == [
        ["down", "user"]
    ]
    assert master.status(WEB) == "USER_down"
    master.run("gnt-cluster", "modify", "--user-shutdown", "no")
    assert master.status(WEB) == "ADMIN_down"
    master.run("gnt-cluster", "modify", "--user-shutdown", "yes")
    master.run("gnt-instance", "startup", WEB)
    assert master.status(WEB) == "running"


def job(
    master: masters.Master, what: str = "SHUTDOWN", name: str = WEB, **parameters: object
) -> list[str]:
    """Write a job that does something to an instance; return its file's name."""
    file = master.node.root / f"{what}.json"
    opcode = {"OP_ID": f"OP_INSTANCE_{what}", "instance_name": name, **parameters}
    file.write_text(json.dumps([opcode]))
    return [str(file)]


def test_what_its_user_did_not_do_is_not_remembered_as_his(
    master: masters.Master, web: machines.Machine
) -> None:
    refused = master.command("gnt-debug", "submit-job", *job(master, admin_state_source="user"))

    assert refused.returncode == 1
    assert "was not shutdown by the user" in refused.stderr
    assert master.status(WEB) == "running"


def pid(node: machines.Machine, name: str = WEB) -> int:
    """Return the number of an instance's qemu, as we see it."""
    inner = int((node.layout.run_dir / "kvm-hypervisor/pid" / name).read_text())
    return node.namespace.processes()[inner]


def test_error_down_when_its_qemu_is_killed(master: masters.Master, web: machines.Machine) -> None:
    os.kill(pid(web), signal.SIGKILL)

    qemus.wait_until(lambda: master.status(WEB) == "ERROR_down", what="ERROR_down")
    master.run("gnt-instance", "startup", WEB)
    assert master.status(WEB) == "running"


def test_admin_down_and_error_up(master: masters.Master, web: machines.Machine) -> None:
    master.run("gnt-instance", "shutdown", "--timeout", "0", WEB)
    assert master.status(WEB) == "ADMIN_down"
    master.run("gnt-instance", "startup", "--no-remember", WEB)
    assert master.status(WEB) == "ERROR_up"
    # What is down as an administrator wants it, its user may as well have shut down.
    with console(web) as guest:
        guest.wait_up().say("P")
    qemus.wait_until(lambda: master.status(WEB) == "ADMIN_down", what="ADMIN_down")
    assert made_of(web) == "shutdown"
    master.run("gnt-instance", "modify", "--offline", WEB)
    assert (master.status(WEB), made_of(web)) == ("ADMIN_down", "shutdown")
    master.run("gnt-instance", "modify", "--online", WEB)


def made_of(node: machines.Machine) -> str:
    """Return what the node makes of web, by the mark that kvmd leaves."""
    has_marker = (node.layout.ctrl_dir / f"{WEB}.shutdown").exists()
    return "shutdown" if has_marker else "absent"


def test_error_up_though_marked_offline(cluster: clusters.Cluster, master: masters.Master) -> None:
    second = cluster.nodes[1]
    master.run("gnt-instance", "modify", "--offline", FAR)
    directly = conductor.Conductor(cluster)
    instance = instances.Instance(FAR, cluster.shared, nics=1)
    directly.start(instance, second)
    try:
        assert master.status(FAR) == "ERROR_up"
    finally:
        directly.stop(instance, second, timeout=0)
        master.run("gnt-instance", "modify", "--online", FAR)
    assert master.status(FAR) == "ADMIN_down"


def test_admin_offline(master: masters.Master) -> None:
    master.run("gnt-instance", "modify", "--offline", FAR)
    assert master.status(FAR) == "ADMIN_offline"
    refused = master.command("gnt-instance", "startup", FAR)
    assert refused.returncode == 1
    assert "marked to be offline" in refused.stderr
    master.run("gnt-instance", "modify", "--online", FAR)
    assert master.status(FAR) == "ADMIN_down"


def test_error_wrong_node(cluster: clusters.Cluster, master: masters.Master) -> None:
    second = cluster.nodes[1]
    instance = instances.Instance(WEB, cluster.shared, nics=1)
    directly = conductor.Conductor(cluster)
    directly.start(instance, second)
    try:
        statuses = dict(master.table("gnt-instance", "list", "-o", "name,status"))
        assert statuses[WEB] == "ERROR_wrongnode"
        # Its disk is in use there: it does not run twice.
        refused = master.command("gnt-instance", "startup", "--no-remember", WEB)
        assert refused.returncode == 1
        assert "lock" in refused.stderr
    finally:
        directly.stop(instance, second, timeout=0)
    assert master.status(WEB) == "ADMIN_down"


def test_error_node_down_and_offline(cluster: clusters.Cluster, master: masters.Master) -> None:
    second = cluster.nodes[1]
    cluster.noded(second).kill()
    assert master.status(FAR) == "ERROR_nodedown"
    master.run("gnt-node", "modify", "--offline=yes", "--auto-promote", second.name)
    assert master.status(FAR) == "ERROR_nodeoffline"
    refused = master.command("gnt-instance", "startup", FAR)
    assert refused.returncode == 1
    assert "offline node" in refused.stderr
    master.run("gnt-instance", "startup", "--ignore-offline", FAR)
    assert master.table("gnt-instance", "list", "-o", "admin_state", FAR) == [["up"]]
    master.run("gnt-instance", "shutdown", "--ignore-offline", FAR)
    cluster.noded(second).start()
    master.run("gnt-node", "modify", "--offline=no", "-f", second.name)
    assert master.status(FAR) == "ADMIN_down"


# What is done when it falls: settings.


def recovery(master: masters.Master, name: str = WEB) -> dict[str, Any]:
    told: dict[str, Any] = info(master, "--static", name)["recovery"]
    return told


def test_what_is_done_when_it_falls_is_set_shown_and_taken_back(master: masters.Master) -> None:
    words = ["--on-stop", "killed=leave", "--restarts", "3/10m", "--start-priority", "7"]
    said = master.run("gnt-instance", "modify", *words, WEB)

    assert " - on-stop/killed -> leave" in said
    assert "next (re)start" not in said
    assert tags(master) == [
        "pyganeti:on-stop:killed:leave", "pyganeti:restarts:3/600", "pyganeti:start-priority:7",
    ]  # fmt: skip
    told = recovery(master)
    assert told["on_stop"]["killed"] == {"action": "leave", "level": "instance"}
    assert told["on_stop"]["crashed"] == {"action": "restart", "level": None}
    assert told["restarts"] == {"tries": 3, "seconds": 600, "level": "instance"}
    assert told["start_priority"] == 7
    printed = master.run("gnt-instance", "info", "--static", WEB)
    assert "do nothing after: admin-shutdown, admin-quit, admin-kill, killed (instance)" in printed
    assert "restarts before giving up: 3 within 10min (instance)" in printed

    # One tag is exchanged for another, and parameters are changed by the same job.
    words = ["--on-stop", "killed=down", "-B", "vcpus=2", "--print-jobid"]
    said = master.run("gnt-instance", "modify", *words, WEB)
    job = said.splitlines()[0].removeprefix("JobID: ")
    [[ops]] = master.table("gnt-job", "list", "-o", "summary", job)
    assert ops.split(",") == ["INSTANCE_SET_PARAMS(web.lab.example)", "TAGS_DEL", "TAGS_SET"]
    assert recovery(master)["on_stop"]["killed"]["action"] == "down"

    master.run("gnt-instance", "modify", "--on-stop", "all=default", "--restarts", "default", WEB)
    master.run("gnt-instance", "modify", "--start-priority", "default", "-B", "vcpus=1", WEB)
    assert tags(master) == []


def test_what_is_so_already_needs_no_job(master: masters.Master) -> None:
    def jobs() -> int:
        return len(master.table("gnt-job", "list", "-o", "id"))

    before = jobs()
    for words in (["--on-stop", "killed=default"], ["--forgive"]):
        master.run("gnt-instance", "modify", *words, WEB)
    assert jobs() == before


def test_a_dry_run_and_a_wrong_word_change_nothing(master: masters.Master) -> None:
    master.run("gnt-instance", "modify", "--dry-run", "--on-stop", "killed=leave", WEB)
    refused = master.command("gnt-instance", "modify", "--on-stop", "killed=explode", WEB)
    assert refused.returncode == 2
    assert "there are restart, leave, down" in refused.stderr
    assert master.command("gnt-instance", "modify", "--forgive", "nosuch").returncode == 1
    assert tags(master) == []


def test_the_nearest_level_holds_and_is_named(master: masters.Master) -> None:
    def rule(cause: str) -> list[str | None]:
        found = recovery(master)["on_stop"][cause]
        return [found["action"], found["level"]]

    assert rule("user-poweroff") == ["down", None]
    master.run("gnt-cluster", "modify", "--on-stop", "killed=leave,crashed=down",
               "--restarts", "9/1d", "--starts-at-once", "2")  # fmt: skip
    assert rule("killed") == ["leave", "cluster"]
    master.run("gnt-group", "modify", "--on-stop", "killed=restart", "default")
    assert rule("killed") == ["restart", "node group"]
    master.run("gnt-instance", "modify", "--on-stop", "killed=down", WEB)
    assert rule("killed") == ["down", "instance"]
    assert rule("crashed") == ["down", "cluster"]

    of_cluster = master.run("gnt-cluster", "info")
    assert "restarts before giving up: 9 within 1d (cluster)" in of_cluster
    assert "started at a time on a node: 2" in of_cluster
    assert "killed (node group)" in master.run("gnt-group", "info", "default")

    master.run("gnt-instance", "modify", "--on-stop", "killed=default", WEB)
    assert rule("killed") == ["restart", "node group"]
    master.run("gnt-group", "modify", "--on-stop", "all=default", "default")
    master.run("gnt-cluster", "modify", "--on-stop", "all=default",
               "--restarts", "default", "--starts-at-once", "default")  # fmt: skip
    assert rule("killed") == ["restart", None]
    for kind in (["gnt-cluster"], ["gnt-group", "default"]):
        assert master.run(kind[0], "list-tags", *kind[1:]) == ""


def test_a_guest_that_may_not_shut_itself_down_is_to_be_restarted(master: masters.Master) -> None:
    master.run("gnt-instance", "modify", "-H", "user_shutdown=no", WEB)
    assert recovery(master)["on_stop"]["user-poweroff"]["action"] == "restart"
    master.run("gnt-instance", "modify", "-H", "user_shutdown=default", WEB)
    assert recovery(master)["on_stop"]["user-poweroff"]["action"] == "down"


def test_a_node_has_its_own_number_of_starts_at_a_time(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    name = cluster.nodes[1].name
    master.run("gnt-node", "modify", "--starts-at-once", "1", name)
    assert master.run("gnt-node", "list-tags", name).split() == ["pyganeti:starts-at-once:1"]
    master.run("gnt-node", "modify", "--starts-at-once", "default", name)
    assert master.run("gnt-node", "list-tags", name) == ""


def test_what_was_given_up_is_shown_and_forgiven(master: masters.Master) -> None:
    master.run("gnt-instance", "add-tags", WEB, GAVE_UP)
    assert recovery(master)["gave_up"] == 1_700_000_000
    listed = master.table("gnt-instance", "list", "-F", "given_up", "-o", "name,given_up_time")
    assert [row[0] for row in listed] == [WEB]
    assert listed[0][1].startswith("2023-11-1")
    assert "given up: since 2023-11-1" in master.run("gnt-instance", "info", "--static", WEB)

    said = master.run("gnt-instance", "modify", "--forgive", WEB)

    assert " - gave-up -> no" in said
    assert recovery(master)["gave_up"] is None
    assert tags(master) == []


def test_a_setting_that_counts_for_nothing_is_named_by_the_verification(
    master: masters.Master,
) -> None:
    master.run("gnt-instance", "add-tags", WEB, "pyganeti:on-stop:killed:explode")
    said = master.command("gnt-cluster", "verify", "--error-codes").stdout
    master.run("gnt-instance", "remove-tags", WEB, "pyganeti:on-stop:killed:explode")

    [line] = [line for line in said.splitlines() if "explode" in line]
    assert f"WARNING:ECLUSTERCFG:cluster:None:instance {WEB}: tag pyganeti:on-stop" in line


# What the watcher's jobs do when the world has gone on until they have the lock.

WATCHED: Any = {"reason": [["gnt:watcher", "it fell", 1]], "only_if_down": True}
GAVE_UP = "pyganeti:gave-up:1700000000"


def submit(master: masters.Master, *files: str) -> str:
    return master.run("gnt-debug", "submit-job", *files)


def kill(master: masters.Master, node: machines.Machine) -> None:
    os.kill(pid(node), signal.SIGKILL)
    qemus.wait_until(lambda: master.status(WEB) == "ERROR_down", what="ERROR_down")


def wanted(master: masters.Master) -> list[str]:
    [row] = master.table("gnt-instance", "list", "-o", "admin_state,admin_state_source", WEB)
    return row


def tags(master: masters.Master) -> list[str]:
    return master.run("gnt-instance", "list-tags", WEB).split()


def test_one_that_fell_is_started_and_one_that_runs_is_let_run_without_hooks(
    cluster: clusters.Cluster, master: masters.Master, web: machines.Machine
) -> None:
    heard = cluster.place / "heard"
    hook = web.seen(web.layout.config_dir / "hooks/instance-start-pre.d/tell")
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\necho start >>{heard}\n")
    hook.chmod(0o755)
    kill(master, web)

    assert "Nothing to do" not in submit(master, *job(master, "STARTUP", **WATCHED))
    assert master.status(WEB) == "running"
    before = pid(web)
    assert f"Nothing to do: {WEB} runs" in submit(master, *job(master, "STARTUP", **WATCHED))
    assert pid(web) == before
    assert heard.read_text() == "start\n"
    shutil.rmtree(hook.parent.parent)


def test_one_that_its_user_ended_is_started_where_that_is_the_policy(
    master: masters.Master, web: machines.Machine
) -> None:
    with console(web) as guest:
        guest.wait_up().say("P")
    qemus.wait_until(lambda: master.status(WEB) == "USER_down", what="USER_down")

    submit(master, *job(master, "STARTUP", **WATCHED))
    assert master.status(WEB) == "running"


@pytest.mark.parametrize("what", ["STARTUP", "SHUTDOWN"])
def test_one_that_an_administrator_has_shut_down_meanwhile_is_left_so(
    master: masters.Master, web: machines.Machine, what: str
) -> None:
    kill(master, web)
    master.run("gnt-instance", "shutdown", "--timeout", "0", WEB)

    said = submit(master, *job(master, what, **WATCHED))

    assert f"Nothing to do: {WEB} is marked to be down" in said
    assert wanted(master) == ["down", "admin"]
    assert master.status(WEB) == "ADMIN_down"


def test_one_that_is_removed_meanwhile_is_not_started(
    master: masters.Master, web: machines.Machine
) -> None:
    master.run("gnt-instance", "startup", BRIEF)
    os.kill(pid(web, BRIEF), signal.SIGKILL)

    # Both at once: the second has to wait for the first one's lock.
    ended = master.command(
        "gnt-debug",
        "submit-job",
        *job(master, "REMOVE", BRIEF, shutdown_timeout=0),
        *job(master, "STARTUP", BRIEF, **WATCHED),
    )

    assert ended.returncode == 1
    assert f"Instance '{BRIEF}' not known" in ended.stderr
    assert BRIEF not in master.run("gnt-instance", "list", "-o", "name")
    assert not (web.layout.run_dir / "kvm-hypervisor/pid" / BRIEF).exists()


@pytest.mark.parametrize("source", ["user", "admin"])
def test_one_that_runs_again_is_not_shut_down_for_having_been_down(
    master: masters.Master, web: machines.Machine, source: str
) -> None:
    before = pid(web)

    said = submit(master, *job(master, admin_state_source=source, **WATCHED))

    assert f"Nothing to do: {WEB} runs" in said
    assert pid(web) == before
    assert wanted(master) == ["up", "admin"]


@pytest.mark.parametrize(("source", "status"), [("user", "USER_down"), ("admin", "ADMIN_down")])
def test_one_that_fell_is_recorded_as_wanted_down_by_whoever_it_was(
    master: masters.Master, web: machines.Machine, source: str, status: str
) -> None:
    """A user's shutdown, too, whose marker went with the host's next boot."""
    kill(master, web)

    submit(master, *job(master, admin_state_source=source, **WATCHED))

    assert wanted(master) == ["down", source]
    assert master.status(WEB) == status


@pytest.mark.parametrize("command", ["startup", "reboot"])
def test_a_start_by_a_person_forgives_and_one_by_the_watcher_does_not(
    master: masters.Master, web: machines.Machine, command: str
) -> None:
    master.run("gnt-instance", "add-tags", WEB, GAVE_UP, "blue")
    kill(master, web)
    submit(master, *job(master, "STARTUP", **WATCHED))
    assert tags(master) == ["blue", GAVE_UP]

    master.run("gnt-instance", command, WEB)

    assert tags(master) == ["blue"]
    master.run("gnt-instance", "remove-tags", WEB, "blue")


def test_a_start_that_fails_forgives_nothing(
    master: masters.Master, cluster: clusters.Cluster
) -> None:
    master.run("gnt-instance", "add-tags", WEB, GAVE_UP)
    disk = cluster.shared / WEB / "disk0"
    hidden = disk.rename(disk.with_name("hidden"))
    try:
        assert master.command("gnt-instance", "startup", WEB).returncode == 1
        assert tags(master) == [GAVE_UP]
    finally:
        hidden.rename(disk)
        master.run("gnt-instance", "remove-tags", WEB, GAVE_UP)
        master.run("gnt-instance", "shutdown", "--timeout", "0", WEB)
