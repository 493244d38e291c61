"""Guests that end each in its own way, and what gnt-instance says of that on the master.

All run side by side on one cluster, and end once; what is asked afterwards changes nothing, but for
the tests at the end, which come in their order.
"""

import contextlib
import dataclasses
import datetime as dt
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import consoles, memorygroups, qemus
from lab.cluster import clusters, instances, machines, masters, services

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.xdist_group("system-asking"),
]

DOMAIN = machines.DOMAIN
KILLED, CRASHED, POWERED, ADMIN, PANICKED, MEMORY, GONE, STAYS = (
    f"{name}.{DOMAIN}"
    for name in ("killed", "crashed", "powered", "admin", "panicked", "memory", "gone", "stays")
)
ENDED = (KILLED, CRASHED, POWERED, ADMIN, PANICKED, GONE)


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    with clusters.Cluster(2) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Leave it to the module's end: tests here go on from one another."""


@pytest.fixture(scope="module")
def master(cluster: clusters.Cluster) -> Iterator[masters.Master]:
    """Return a master whose guests have ended, but for two; one may use little memory."""
    first, second = cluster.nodes
    made = {
        name: instances.Instance(name, cluster.shared).but(kvm_extra="-device pvpanic")
        for name in (*ENDED, MEMORY, STAYS)
    }
    group = None if memorygroups.why_not() else memorygroups.create(96)
    try:
        if group is not None:
            script = cluster.place / "qemu-in-a-group"
            inside = memorygroups.entered(group, instances.QEMU, script)
            made[MEMORY] = dataclasses.replace(made[MEMORY], memory=256).but(kvm_path=str(inside))
        placed = [(one, second if name == STAYS else first) for name, one in made.items()]
        with masters.started(cluster, placed) as started:
            started.run("gnt-instance", "startup", "--all", "--force-multiple")
            end_all(first, started)
            yield started
    finally:
        if group is not None:
            end_group(group)


def end_group(group: Path) -> None:
    """Remove a memory group, with what is left in it."""
    for number in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(number), signal.SIGKILL)
    qemus.wait_until(lambda: not (group / "cgroup.procs").read_text(), what="an empty group")
    memorygroups.remove(group)


def end_all(node: machines.Machine, master: masters.Master) -> None:
    """End guests, each in its own way."""
    for name in (*ENDED, MEMORY, STAYS):
        if name != STAYS:
            with console(node, name) as guest:
                guest.wait_up()
    os.kill(pid_of(node, KILLED), signal.SIGKILL)
    os.kill(pid_of(node, CRASHED), signal.SIGSEGV)
    os.kill(pid_of(node, GONE), signal.SIGTERM)
    with console(node, POWERED) as guest:
        guest.say("P")
    with console(node, PANICKED) as guest:
        guest.say("X")
    master.run("gnt-instance", "shutdown", "--timeout", "20", "--reason", "new “disks”", ADMIN)
    qemus.wait_until(lambda: len(recorded(master)) >= len(ENDED), what="all stops")


def console(node: machines.Machine, name: str) -> consoles.Console:
    return consoles.Console(node.layout.ctrl_dir / f"{name}.serial")


def pid_of(node: machines.Machine, name: str) -> int:
    inner = int((node.layout.run_dir / "kvm-hypervisor/pid" / name).read_text())
    return node.namespace.processes()[inner]


def recorded(master: masters.Master, *words: str) -> list[dict[str, Any]]:
    lines = master.run("gnt-instance", "stops", "--json", *words).splitlines()
    return [json.loads(line) for line in lines]


def why(master: masters.Master, name: str) -> tuple[str, list[list[str]]]:
    """Return the story on one line, and the timeline's cells."""
    story, _, table = master.run("gnt-instance", "why", name).partition("\n\n")
    rows = [re.split(r"  +", line.strip()) for line in table.splitlines()[1:]]
    return " ".join(story.split()), rows


def plainly(master: masters.Master, name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(master.run("gnt-instance", "why", "--json", name))
    return told


def sources(rows: list[list[str]]) -> list[str]:
    return [row[1] if len(row) == 3 else row[0] for row in rows]


# Stories.


def test_a_guest_that_was_killed_has_its_story(master: masters.Master) -> None:
    story, rows = why(master, "killed")

    assert "was killed with SIGKILL by nobody who had announced it: killed." in story
    assert "on node1.lab.example, after it had run for" in story
    assert "It is down, and should run (ERROR_down)." in story
    assert "What is to be done after such a stop: start it again (built in)." in story
    assert "job" not in " ".join(sources(rows))
    assert any("qemu ended with SIGKILL" in cell for row in rows for cell in row)


def test_a_crash_is_told_from_a_kill(master: masters.Master) -> None:
    story, rows = why(master, CRASHED)
    assert "ended because its qemu crashed: crashed." in story
    assert any("SIGSEGV" in cell for row in rows for cell in row)


def test_a_guest_that_powered_itself_off_has_its_story(master: masters.Master) -> None:
    story, rows = why(master, POWERED)

    assert "powered itself off and nobody outside had asked for it: user-poweroff" in story
    assert "It is down (USER_down): its user wants it so." in story
    assert "record that it is wanted down (built in)." in story
    assert "the guest, told by qemu" in sources(rows)


def test_a_panic_has_its_story(master: masters.Master) -> None:
    story, rows = why(master, PANICKED)
    assert "reported a panic of its kernel: guest-panic." in story
    [cell] = [cell for row in rows for cell in row if cell.startswith("GUEST_PANICKED")]
    assert cell.endswith(": the guest's kernel panicked")


def test_a_shutdown_is_told_through_all_layers(master: masters.Master) -> None:
    story, rows = why(master, ADMIN)

    told = plainly(master, ADMIN)
    job = told["evidence"]["intent"]["job"]
    assert "was asked by an administrator to power down, and did: admin-shutdown." in story
    assert f"had announced by job {job}: powerdown, and that was in force." in story
    assert (
        f"It was job {job}, INSTANCE_SHUTDOWN({ADMIN}), submitted by root on node1.lab.example"
        " with gnt-instance shutdown for the reason “new “disks””; it ended well after" in story
    )
    assert "It is down (ADMIN_down): an administrator wants it so." in story
    order = sources(rows)
    places = [
        order.index(layer)
        for layer in (f"job {job}", "an administrator's intent", "qemu", "the guest, told by qemu")
    ]
    assert places == sorted(places), "the job, then the intent, then the button, then the guest"
    [one] = told["jobs"]
    assert (one["id"], one["bearing"], one["status"]) == (job, "ended", "success")
    assert (told["status"], told["instance"], told["troubles"]) == ("ADMIN_down", ADMIN, [])
    about = master.run("gnt-job", "info", str(job))
    assert "Submitted: by root on node1.lab.example with gnt-instance shutdown\n" in about


@pytest.mark.skipif(bool(memorygroups.why_not()), reason=memorygroups.why_not() or "it can")
def test_memory_that_ran_out_is_told_from_a_kill(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    with console(cluster.nodes[0], MEMORY) as guest:
        guest.say("M")
    qemus.wait_until(lambda: bool(recorded(master, MEMORY)), what="its stop")
    story, _ = why(master, MEMORY)
    assert "was killed by the host's kernel because memory ran out: oom-killed." in story


def test_what_never_stopped_and_what_nobody_knows_is_answered_in_words(
    master: masters.Master,
) -> None:
    never = master.command("gnt-instance", "why", STAYS)
    assert never.returncode == 1
    told = " ".join(never.stdout.split())
    assert told.startswith(f"No stop of {STAYS} is on record. It runs, since ")
    master.run("gnt-instance", "modify", "-H", "user_shutdown=no", STAYS)
    told = " ".join(master.command("gnt-instance", "why", STAYS).stdout.split())
    assert told.endswith("once its hypervisor parameter user_shutdown is on.")
    master.run("gnt-instance", "modify", "-H", "user_shutdown=default", STAYS)
    unknown = master.command("gnt-instance", "why", "nosuch")
    assert unknown.returncode == 1
    assert "no instance 'nosuch', and no stop of a guest of that name" in unknown.stderr


# Lists.


def test_the_history_is_the_whole_clusters(master: masters.Master) -> None:
    printed = master.run("gnt-instance", "stops").splitlines()
    assert printed[0].split() == ["STOPPED", "NAME", "NODE", "RAN", "CAUSE", "WHY"]
    causes = {name: cause for name, cause in found(printed) if name in ENDED}
    assert causes == {
        KILLED: "killed",
        CRASHED: "crashed",
        POWERED: "user-poweroff",
        ADMIN: "admin-shutdown",
        GONE: "host-signal",
        PANICKED: "guest-panic",
    }
    times = [line[:19] for line in printed[1:]]
    assert times == sorted(times)


def found(printed: list[str]) -> list[tuple[str, str]]:
    rows = [re.split(r"  +", line) for line in printed[1:]]
    return [(row[1], row[4]) for row in rows]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("killed",), [KILLED]),
        (("killed", POWERED), [KILLED, POWERED]),
        (("--cause", "killed", "--cause", "crashed"), [KILLED, CRASHED]),
        (("--node", "node2"), []),
        (("--since", "1h", "admin"), [ADMIN]),
        (("--since", "2000-01-01", "--limit", "1", "admin"), [ADMIN]),
        (("--since", "2100-01-01"), []),
        (("--until", "2000-01-01"), []),
        (("--until", "2100-01-01", "--cause", "crashed"), [CRASHED]),
        (("nosuch",), []),
    ],
    ids=" ".join,
)
def test_stops_are_picked(master: masters.Master, words: tuple[str, ...], names: list[str]) -> None:
    rows = recorded(master, *words)
    assert sorted(row["name"] for row in rows) == sorted(names)
    assert {row["node"] for row in rows} <= {"node1.lab.example"}


def test_lists_and_information_have_the_last_stop(master: masters.Master) -> None:
    rows = master.table("gnt-instance", "list", "-o", "name,stop_cause,stop_node", KILLED, STAYS)
    assert rows == [[KILLED, "killed", "node1.lab.example"], [STAYS, "", "-"]]
    [[stopped]] = master.table("gnt-instance", "list", "-o", "stop_time", KILLED)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", stopped)
    down = master.table("gnt-instance", "list", "-o", "name", "-F", 'stop_cause == "crashed"')
    assert down == [[CRASHED]]
    lines = master.run("gnt-instance", "info", CRASHED).splitlines()
    [line] = [line for line in lines if line.startswith("Last stop: ")]
    assert line.startswith(f"Last stop: crashed, {stopped[:10]}")
    assert "on node1.lab.example: qemu died of SIGSEGV" in line
    told = json.loads(master.run("gnt-instance", "info", "--json", STAYS))
    assert told["last_stop"] is None
    assert "StopCause" in master.run("gnt-instance", "list-fields", "stop_cause")


# What comes after.


def test_what_was_done_about_it_is_told(cluster: clusters.Cluster, master: masters.Master) -> None:
    key = plainly(master, KILLED)["key"]
    file = master.node.root / "job.json"
    text = f"cause=killed;try=2;stop={key}"
    opcode = {
        "OP_ID": "OP_INSTANCE_STARTUP",
        "instance_name": KILLED,
        "reason": [["gnt:watcher", text, 1]],
    }
    file.write_text(json.dumps([opcode]))
    master.run("gnt-debug", "submit-job", str(file))
    master.run("gnt-instance", "startup", "--reason", "it is wanted", CRASHED)

    story, rows = why(master, KILLED)

    [job] = plainly(master, KILLED)["jobs"]
    assert (job["bearing"], job["status"]) == ("recovery", "success")
    assert f"The watcher submitted job {job['id']}, INSTANCE_STARTUP({KILLED}) (try 2)" in story
    assert "after the stop; it ended well after" in story
    assert re.search(r"It runs again, since [-0-9: ]+ \([^)]*ago\), [^ ]+.* after the stop", story)
    assert rows[-1][1:] == ["the kernel", "the qemu that runs now was started"] or any(
        "the qemu that runs now was started" in cell for row in rows for cell in row
    )
    story, _ = why(master, CRASHED)
    assert "after the stop by root on node1.lab.example with gnt-instance startup" in story
    assert "for the reason “it is wanted”" in story


def test_each_further_stop_is_followed_and_earlier_ones_are_told_of_still(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    first, log = cluster.nodes[0], cluster.nodes[0].root / "followed"
    before = plainly(master, CRASHED)
    pid = first.spawn("gnt-instance", "stops", "--follow", "--json", CRASHED, log=log.name)
    qemus.wait_until(lambda: bool(lines_of(log)), what="what was before")
    with console(first, CRASHED) as guest:
        guest.wait_up().say("P")
    qemus.wait_until(lambda: len(lines_of(log)) >= 2, what="the further stop")
    os.kill(pid, signal.SIGINT)

    assert [told["cause"] for told in lines_of(log)] == ["crashed", "user-poweroff"]
    assert plainly(master, CRASHED)["cause"] == "user-poweroff"
    until = dt.datetime.fromtimestamp(before["stopped"] + 0.1).astimezone().isoformat()
    story = " ".join(master.run("gnt-instance", "why", "--before", until, CRASHED).split())
    assert "ended because its qemu crashed" in story
    assert re.search(r"It stopped again at [-0-9: ]+ \([^)]*ago\): user-poweroff\.", story)
    earlier = json.loads(master.run("gnt-instance", "why", "--json", "--before", until, CRASHED))
    assert earlier["key"] == before["key"]
    assert [job["bearing"] for job in earlier["jobs"]] == ["after"]


def lines_of(log: Path) -> list[dict[str, Any]]:
    """Return what is there of whole lines."""
    text = log.read_text() if log.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def test_jobs_are_told_of_also_from_the_archive(master: masters.Master) -> None:
    master.run("gnt-job", "autoarchive", "all")
    assert master.table("gnt-job", "list", "-o", "id") == []
    story, _ = why(master, KILLED)
    assert f"INSTANCE_STARTUP({KILLED}) (try 2)" in story
    assert "INSTANCE_SHUTDOWN" in why(master, ADMIN)[0]


def test_an_instance_that_was_removed_has_its_history(master: masters.Master) -> None:
    master.run("gnt-instance", "remove", "-f", GONE)
    story, _ = why(master, "gone")
    assert f"{GONE} (pid " in story
    assert "host-signal" in story
    assert story.endswith("There is no instance of that name now.")
    assert [row["instance"] for row in recorded(master, GONE)] == [None]


def test_a_node_that_does_not_answer_is_said(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    second = cluster.nodes[1]
    cluster.noded(second).kill()
    try:
        printed = master.command("gnt-instance", "stops", POWERED)
        assert printed.returncode == 0
        assert POWERED in printed.stdout
        assert "node2.lab.example: " in printed.stderr
        told = master.command("gnt-instance", "why", STAYS)
        words = " ".join(told.stdout.split())
        assert f"No stop of {STAYS} is on record." in words
        assert "Whether it runs is not known (ERROR_nodedown): its node, node2" in words
        assert "Mind node2.lab.example: " in words
        rows = master.table("gnt-instance", "list", "-o", "name,stop_cause", STAYS, POWERED)
        assert rows == [[STAYS, "?"], [POWERED, "user-poweroff"]]
    finally:
        cluster.noded(second).start()


def test_a_node_where_nobody_records_is_said(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    first = cluster.nodes[0]
    cluster.kvmd(first).kill()
    printed = master.command("gnt-instance", "stops", POWERED)
    assert "node1.lab.example: ganeti-kvmd does not run there: no further" in printed.stderr
    rows = recorded(master, POWERED)
    assert rows[-1]["trouble"].startswith("ganeti-kvmd does not run")
    assert rows[0]["cause"] == "user-poweroff"
    cluster.kvmd(first).start()


def test_one_that_was_moved_has_stopped_where_it_was(master: masters.Master) -> None:
    master.run("gnt-instance", "migrate", "-f", STAYS)

    story, _ = why(master, STAYS)

    assert "was migrated and lives on elsewhere: migrated. That was at" in story
    assert "on node2.lab.example, after it had run for" in story
    # The call that migrates carries no reason, so the job is known by its time.
    [job] = plainly(master, STAYS)["jobs"]
    assert job["bearing"] == "during"
    assert f"Under way then was job {job['id']}, INSTANCE_MIGRATE({STAYS}), submitted by" in story
    assert "What is to be done after such a stop: do nothing (built in)." in story
    rows = master.table("gnt-instance", "list", "-o", "pnode,status,stop_cause,stop_node", STAYS)
    assert rows == [["node1.lab.example", "running", "migrated", "node2.lab.example"]]


def test_what_the_watcher_did_by_itself_is_told(
    cluster: clusters.Cluster, master: masters.Master
) -> None:
    """Comes last: the watcher puts right what the tests before have left down, too."""
    first = cluster.nodes[0]
    watcher = services.Service(first, "ganeti-watcher", "--daemon")
    watcher.start()
    qemus.wait_until(lambda: master.status(POWERED) == "USER_down", what="USER_down")
    os.kill(pid_of(first, KILLED), signal.SIGKILL)
    qemus.wait_until(lambda: len(recorded(master, KILLED)) == 2, what="the stop")
    qemus.wait_until(lambda: master.status(KILLED) == "running", what="its new qemu")

    told = plainly(master, KILLED)
    assert [job["bearing"] for job in told["jobs"]] == ["recovery"]
    assert re.search(
        r"The watcher submitted job \d+, INSTANCE_STARTUP\(killed\.lab\.example\) \(try \d\) [^ ]+"
        r" after the stop; it ended well after",
        told["story"],
    )
    assert "It runs again, since " in told["story"]
    watcher.stop()
