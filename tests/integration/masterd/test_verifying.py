"""Verification, with nodes that say whatever there is to be said, nonsense among it."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import pyganeti
from lab import answeringnodes, clusters, masterparts
from pyganeti.masterd.config import draft
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster, group
from pyganeti.wire import noderpc

Opened = tuple[masterparts.Parts, answeringnodes.Answering]

CERTIFICATE = "AA:BB"
STATUSES = "blockdev_getmirrorstatus_multi"
FINE = [True, {"is_degraded": False, "ldisk_status": 1}]


@pytest.fixture
def snapshot() -> Snapshot:
    small = clusters.small()
    certificates = {uuid: f"{CERTIFICATE}:{uuid}" for uuid in small.nodes}
    nodes = {
        uuid: msgspec.structs.replace(node, master_candidate=True)
        for uuid, node in small.nodes.items()
    }
    changed = msgspec.structs.replace(
        small.cluster, modify_ssh_setup=False, candidate_certs=certificates
    )
    return msgspec.structs.replace(small, cluster=changed, nodes=type(small.nodes)(nodes))


@pytest.fixture
async def opened(tmp_path: Path, snapshot: Snapshot) -> AsyncIterator[Opened]:
    async with (
        answeringnodes.started(snapshot.nodes.values()) as nodes,
        nodes.asking() as asking,
        masterparts.opened(tmp_path, snapshot, nodes=asking) as parts,
    ):
        for node in snapshot.nodes.values():
            nodes.say(node.name, "node_verify", good(snapshot, node.uuid))
            nodes.say(node.name, STATUSES, lambda disks: [FINE for _ in disks])
            nodes.say(node.name, "hooks_runner", [])
        yield parts, nodes


def good(snapshot: Snapshot, uuid: str) -> Any:
    """Return how a node answers that has nothing wrong."""
    node = snapshot.nodes[uuid]

    def answer(what: dict[str, Any], *_: Any) -> dict[str, Any]:
        said = {
            "version": [noderpc.PROTOCOL, pyganeti.__version__],
            "filelist": dict.fromkeys(what["filelist"], "a" * 40),
            "client-cert": [None, f"{CERTIFICATE}:{uuid}"],
            "hypervisor": {"kvm": None},
            "hvparms": [],
            "nodesetup": [],
            "time": [int(time.time()), 0],
            "node-net-test": {},
            "master-ip": True,
            "user-scripts": [],
            "instancelist": [
                one.name for one in snapshot.instances_on(node) if one.admin_state == "up"
            ],
            "hvinfo": {"memory_free": 1024},
            "oslist": [],
            "bridges": [],
        }
        if what.get("allowed-file-storage-paths") == node.name:
            said["allowed-file-storage-paths"] = []
        return {key: value for key, value in said.items() if key in what}

    return answer


def verify(**given: Any) -> cluster.ClusterVerifyGroup:
    return cluster.ClusterVerifyGroup(group_name="default", error_codes=True, **given)


async def run(parts: masterparts.Parts, op: cluster.ClusterVerifyGroup) -> tuple[bool, list[str]]:
    """Verify; return the verdict and the lines of findings."""
    job = await parts.submit(op)
    assert await parts.ended(job) == "success", await parts.said(job)
    [[results]] = await parts.values(job, "opresult")
    said = await parts.said(job)
    return results[0], [line for line in said if line.startswith("  - ") and "NOTICE" not in line]


async def test_a_cluster_that_has_nothing_wrong_is_verified(
    opened: Opened, snapshot: Snapshot
) -> None:
    parts, nodes = opened

    verdict, found = await run(parts, verify())

    assert [line for line in found if "EINSTANCEPOLICY" not in line] == []
    assert verdict is True
    bodies = [body for _, call, body in nodes.asked if call == "node_verify"]
    assert len(bodies) == len(snapshot.nodes)
    what, name, hvparams = bodies[0]
    assert name == snapshot.cluster.cluster_name
    assert hvparams["kvm"]["kvm_path"]
    assert what["instancelist"] == ["kvm"]


@pytest.mark.parametrize("nonsense", [None, [], "words", 7, {}, {"version": "x"}, {"version": [1]}])
@pytest.mark.parametrize("call", ["node_verify", STATUSES, "hooks_runner"])
async def test_nonsense_is_a_finding_and_no_failure(
    opened: Opened, snapshot: Snapshot, call: str, nonsense: Any
) -> None:
    parts, nodes = opened
    second = snapshot.nodes[clusters.node_uuid(1)].name
    nodes.say(second, call, nonsense)

    verdict, found = await run(parts, verify())

    if call == "hooks_runner" and nonsense == []:
        return
    assert verdict is False or call == STATUSES
    assert any(second in line for line in found)


async def test_a_configuration_that_changes_meanwhile_is_compared_again(
    opened: Opened, snapshot: Snapshot
) -> None:
    parts, nodes = opened
    second = snapshot.nodes[clusters.node_uuid(1)]
    settled = good(snapshot, second.uuid)
    rounds: list[list[str]] = []

    def differ_once(what: dict[str, Any], *rest: Any) -> dict[str, Any]:
        rounds.append(sorted(what))
        said: dict[str, Any] = settled(what, *rest)
        if len(rounds) == 1:
            said["filelist"]["/var/lib/ganeti/config.data"] = "b" * 40
        return said

    def edit(changed: draft.Draft) -> None:
        changed.put(msgspec.structs.replace(changed.cluster, tags=("new",)))

    nodes.say(second.name, "node_verify", differ_once)
    nodes.hang(second.name, "node_verify")
    async with asyncio.TaskGroup() as tasks:
        verifying = tasks.create_task(run(parts, verify()))
        async with asyncio.timeout(20):
            while second.name not in nodes.calls("node_verify"):  # noqa: ASYNC110 - a list
                await asyncio.sleep(0.01)
        await parts.config.change(edit)
        nodes.go_on()
        nodes.held.set()
    verdict, found = verifying.result()

    assert len(rounds) == 2
    assert rounds[1] == ["filelist"]
    assert not any("checksums" in line for line in found)
    assert verdict is True


async def test_missing_files_are_told_and_what_is_not_in_use_is_left_alone(
    opened: Opened, snapshot: Snapshot
) -> None:
    parts, nodes = opened
    uuid = clusters.instance_uuid(0)

    def edit(changed: draft.Draft) -> None:
        for one in changed.snapshot.instances.values():
            changed.put(msgspec.structs.replace(one, disks_active=one.uuid == uuid))

    await parts.config.change(edit)
    one = parts.config.current.instances[uuid]
    primary = snapshot.nodes[one.primary_node]
    nodes.say(primary.name, STATUSES, lambda disks: [[False, "no such file"] for _ in disks])

    [(errors, to_assemble, missing)] = await parts.run(group.GroupVerifyDisks(group_name="default"))

    assert errors == {}
    assert to_assemble == []
    assert list(missing) == [one.name]
    assert missing[one.name][0][0] == primary.uuid

    nodes.say(primary.name, STATUSES, "nonsense")
    [(errors, _, missing)] = await parts.run(group.GroupVerifyDisks(group_name="default"))
    assert list(errors) == [primary.uuid]
    assert missing == {}


@pytest.mark.parametrize("nonsense", [None, [], "words", [None], [["x", None]], [[1, 2, 3]]])
async def test_sizes_that_make_no_sense_correct_nothing(
    opened: Opened, snapshot: Snapshot, nonsense: Any
) -> None:
    parts, nodes = opened
    for node in snapshot.nodes.values():
        nodes.say(node.name, "blockdev_getdimensions", nonsense)

    assert await parts.run(cluster.ClusterRepairDiskSizes()) == [[]]


async def test_whole_verification_answers_with_jobs_that_wait_for_each_other(
    opened: Opened,
) -> None:
    parts, _ = opened

    [result] = await parts.run(cluster.ClusterVerify(skip_checks=["nplusone_mem"]))

    assert [is_taken for is_taken, _ in result["jobs"]] == [True, True]
    for _, number in result["jobs"]:
        assert await parts.ended(number) == "success"
