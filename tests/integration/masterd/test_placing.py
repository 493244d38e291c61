"""Who chooses an instance's node: nobody, the built-in allocator, or a program of the site's."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import answeringnodes, clusters, masterparts
from pyganeti.base import errors
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance, table, testing

MASTER = "node1.example.com"

Opened = tuple[masterparts.Parts, answeringnodes.Answering]


@pytest.fixture
def snapshot() -> Snapshot:
    return clusters.open_to_instances()


@pytest.fixture
async def opened(tmp_path: Path, snapshot: Snapshot) -> AsyncIterator[Opened]:
    async with (
        answeringnodes.started(snapshot.nodes.values()) as nodes,
        nodes.asking() as asking,
        masterparts.opened(tmp_path, snapshot, nodes=asking) as parts,
    ):
        nodes.play(snapshot)
        nodes.obey(snapshot)
        yield parts, nodes


def wanted(name: str, **given: Any) -> instance.InstanceCreate:
    made = instance.InstanceCreate(
        mode="create",
        instance_name=name,
        disk_template="file",
        disks=[{"size": 1024}],
        nics=[{"mac": "aa:00:00:00:00:01"}] if name == "web1" else [{}],
        os_type="noop",
        name_check=False,
        ip_check=False,
        start=False,
    )
    return msgspec.structs.replace(made, **given)


def answers(nodes: answeringnodes.Answering, **said: Any) -> list[dict[str, Any]]:
    """Have an allocator answer; return what it will have been asked."""
    asked: list[dict[str, Any]] = []

    def run(name: str, text: str, options: dict[str, Any]) -> str:
        assert (name, options) == ("hail", {})
        asked.append(json.loads(text))
        return json.dumps({"success": True, "info": "fine", **said})

    nodes.say(MASTER, "iallocator_runner", run)
    return asked


async def set_default(parts: masterparts.Parts, name: str) -> None:
    await parts.config.change(
        lambda draft: draft.put(msgspec.structs.replace(draft.cluster, default_iallocator=name))
    )


@pytest.mark.parametrize("named", ["hail", None, "."])
async def test_an_external_allocator_is_asked_by_ganetis_protocol(
    opened: Opened, named: str | None
) -> None:
    parts, nodes = opened
    if named != "hail":
        await set_default(parts, "hail")
    asked = answers(nodes, result=["node3.example.com"])

    [made] = await parts.run(wanted("web1", iallocator=named, beparams={"memory": 256}))

    assert made == ["node3.example.com"]
    [text] = asked
    request = text["request"]
    assert request["type"] == "allocate"
    assert request["required_nodes"] == 1
    assert (request["name"], request["memory"], request["vcpus"]) == ("web1", 256, 1)
    assert [disk["size"] for disk in request["disks"]] == [1024]
    assert request["disk_space_total"] == 1024
    assert request["nics"][0]["mac"] == "aa:00:00:00:00:01"
    assert text["nodes"].keys() == {node.name for node in parts.config.current.nodes.values()}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"success": False, "info": "too full", "result": []}, "using iallocator 'hail': too full"),
        ({"result": ["nosuch"]}, "none of the cluster's nodes"),
        ({"result": ["node1.example.com", "node2.example.com"]}, "invalid number of nodes"),
        ({"info": 5}, "Can't parse"),
    ],
)
async def test_an_allocator_that_finds_nothing_or_talks_nonsense_makes_nothing(
    opened: Opened, said: dict[str, Any], words: str
) -> None:
    parts, nodes = opened
    answers(nodes, **said)

    with pytest.raises(errors.Failure, match=words):
        await parts.run(wanted("web1", iallocator="hail"))

    assert not parts.config.current.instances


async def test_an_allocator_that_cannot_be_run_is_named(opened: Opened) -> None:
    parts, nodes = opened

    def missing(*_: Any) -> str:
        raise errors.Failure("iallocator module 'nosuch' not found in the search path")

    nodes.say(MASTER, "iallocator_runner", missing)
    with pytest.raises(errors.Failure, match="'nosuch' not found"):
        await parts.run(wanted("web1", iallocator="nosuch"))


async def test_a_node_that_does_not_answer_gets_no_instance(opened: Opened) -> None:
    parts, nodes = opened

    def down(*_: Any) -> Any:
        raise errors.Failure("the node is ill")

    nodes.say("node1.example.com", "node_info", down)
    nodes.say("node2.example.com", "all_instances_info", down)

    assert await parts.run(wanted("web1")) == [["node3.example.com"]]
    nodes.say("node3.example.com", "node_info", ["boot", [], [{"memory_total": "much"}]])
    with pytest.raises(
        errors.Failure, match=r"node1.example.com: .*ill.*node3.example.com: it does"
    ):
        await parts.run(wanted("web2"))


async def test_several_are_placed_at_once_and_made_by_a_job_each(opened: Opened) -> None:
    parts, _ = opened
    described = [table.to_wire(wanted(f"web{number}")) for number in range(1, 4)]
    small = table.to_wire(wanted("web3", beparams={"memory": 1}, ignore_ipolicy=True))
    described[2] = small
    tiny = table.to_wire(wanted("tiny", beparams={"memory": 1}))
    large = table.to_wire(wanted("large", beparams={"memory": 20000}))
    del large["OP_ID"], large["reason"]  # as people write them

    [result] = await parts.run(instance.InstanceMultiAlloc(instances=[*described, large, tiny]))

    assert result["allocatable"] == ["web1", "web2", "web3"]
    assert result["failed"] == ["large", "tiny"]
    for is_taken, job in result["jobs"]:
        assert is_taken
        assert await parts.ended(job) == "success"
    now = parts.config.current
    assert sorted(len(now.instances_on(node)) for node in now.nodes.values()) == [1, 1, 1]


async def test_several_are_placed_by_an_external_allocator(opened: Opened) -> None:
    parts, nodes = opened
    asked = answers(nodes, result=[[["web1", ["node2.example.com"]]], ["web2"]])
    described = [table.to_wire(wanted(f"web{number}")) for number in (1, 2)]

    [result] = await parts.run(instance.InstanceMultiAlloc(instances=described, iallocator="hail"))

    assert (result["allocatable"], result["failed"]) == (["web1"], ["web2"])
    [[_, job]] = result["jobs"]
    assert await parts.ended(job) == "success"
    request = asked[0]["request"]
    assert request["type"] == "multi-allocate"
    assert [one["name"] for one in request["instances"]] == ["web1", "web2"]


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ([], "no instance among"),
        (["x"], "not described by an object"),
        ([wanted("web1"), wanted("web1")], "duplicate instance names: web1"),
        ([wanted("web1", pnode=MASTER), wanted("web2")], "providing pnode while others do not"),
        ([wanted("web1", iallocator="hail")], "not allowed to be set"),
        ([{**table.to_wire(wanted("web1")), "color": 1}], "color"),
    ],
)
async def test_several_that_make_no_sense_are_refused(
    opened: Opened, described: list[Any], words: str
) -> None:
    parts, _ = opened
    told = [table.to_wire(one) if isinstance(one, instance.InstanceCreate) else one
            for one in described]  # fmt: skip

    with pytest.raises(errors.Failure, match=words):
        await parts.run(instance.InstanceMultiAlloc(instances=told))


@pytest.mark.parametrize("mode", ["allocate", "multi-allocate"])
async def test_allocators_can_be_tried(opened: Opened, mode: Any) -> None:
    parts, nodes = opened
    op = testing.TestAllocator(
        direction="in", mode=mode, name="new", disks=[{"size": 10, "mode": "rw"}], memory=128,
        vcpus=1, disk_template="diskless", count=2, nics=[{}],
    )  # fmt: skip

    [asked] = await parts.run(op)
    request = json.loads(asked)["request"]
    assert request["type"] == mode
    out = msgspec.structs.replace(op, direction="out", iallocator="builtin", disks=[])
    [answered] = await parts.run(out)
    result = json.loads(answered)["result"]
    names = ["node1.example.com"]
    if mode == "allocate":
        assert result == names
    else:
        assert result == [[["new0", names], ["new1", ["node2.example.com"]]], []]
    answers(nodes, result=["x"])
    [raw] = await parts.run(msgspec.structs.replace(out, iallocator="hail"))
    assert json.loads(raw)["result"] == ["x"]
    assert not parts.config.current.instances


async def test_an_os_is_installed_again_on_an_instance_that_is_down(opened: Opened) -> None:
    parts, nodes = opened
    await parts.run(wanted("web1", osparams={"a": "1", "b": "2"}))
    nodes.asked.clear()

    await parts.run(
        instance.InstanceReinstall(
            instance_name="web1", os_type="noop+default", osparams={"a": "default", "c": "3"},
            osparams_secret={"s": "x"},
        )
    )  # fmt: skip

    calls = [call for _, call, _ in nodes.asked if call != "hooks_runner"]
    assert calls == [
        "instance_info", "os_validate", "blockdev_assemble", "blockdev_assemble", "instance_os_add",
        "instance_metadata_modify", "blockdev_shutdown",
    ]  # fmt: skip
    [[told, is_again, _]] = [args for _, call, args in nodes.asked if call == "instance_os_add"]
    assert is_again is True
    assert told["osparams"] == {"b": "2", "c": "3", "s": "x"}
    now = parts.config.current.instance("web1")
    assert (now.os, now.osparams) == ("noop+default", {"b": "2", "c": "3"})
    assert not now.disks_active

    node = parts.config.current.nodes[now.primary_node].name
    nodes.say(node, "instance_info", {"memory": 64, "state": 0, "vcpus": 1, "time": 1})
    with pytest.raises(errors.Failure, match="is running, cannot reinstall"):
        await parts.run(instance.InstanceReinstall(instance_name="web1"))
