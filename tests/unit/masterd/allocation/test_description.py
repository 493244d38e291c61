"""Allocators are told about a cluster what a real Ganeti tells; what they answer is checked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import clusters, configurations
from pyganeti.base import errors
from pyganeti.masterd.allocation import answer, description, rooms
from pyganeti.model.disk import Template

GOLDEN = Path(__file__).parents[3] / "golden/rpc/iallocator_runner.json"


def recorded() -> dict[str, Any]:
    """Return the text that a real master gave to hail."""
    found: dict[str, Any] = json.loads(json.loads(GOLDEN.read_text())[0][1])
    return found


def said(told: dict[str, Any]) -> dict[str, description.Said]:
    """Return what nodes answered, by what was told about them."""
    snapshot = configurations.real()
    found = {}
    for name, node in told["nodes"].items():
        hypervisor = {
            "memory_total": node["total_memory"],
            "memory_dom0": node["reserved_memory"],
            "memory_free": node["free_memory"],
            "cpu_total": node["total_cpus"],
            "cpu_dom0": node["reserved_cpus"],
        }
        running = {"k1.example.com": {"memory": 64}} if node["i_pri_up_memory"] else {}
        found[snapshot.node(name).uuid] = description.Said(
            info=["boot", [], [hypervisor]], instances=running
        )
    return found


def test_a_cluster_is_told_as_a_real_master_tells_it() -> None:
    told = recorded()
    snapshot = configurations.real()

    made = description.of_cluster(snapshot, said(told), Template.SHARED_FILE)

    assert made.keys() | {"request"} == told.keys()
    assert made["version"] == told["version"]
    assert made["cluster_name"] == told["cluster_name"]
    for name, node in told["nodes"].items():
        assert made["nodes"][name].keys() == node.keys()
        steady = node.keys() - {"ndparams", "i_pri_memory", "i_pri_up_memory", "free_memory"}
        assert {key: made["nodes"][name][key] for key in steady} == {
            key: node[key] for key in steady
        }
        assert made["nodes"][name]["ndparams"].keys() == node["ndparams"].keys()
    [theirs] = told["instances"].values()
    ours = made["instances"]["k1.example.com"]
    assert ours.keys() == theirs.keys()
    for key in theirs.keys() - {
        "admin_state",
        "disks_active",
        "nodes",
        "disk_space_total",
        "disks",
    }:
        assert ours[key] == theirs[key], key
    assert ours["disks"][0].keys() == theirs["disks"][0].keys()
    [ours, *_] = made["nodegroups"].values()
    [theirs, *_] = told["nodegroups"].values()
    assert ours.keys() == theirs.keys()
    assert ours["ipolicy"].keys() == theirs["ipolicy"].keys()


def test_memory_that_an_instance_is_yet_to_take_is_not_free() -> None:
    snapshot = clusters.small(nodes=1, instances=2)
    [node] = snapshot.nodes.values()
    hypervisor = {
        "memory_total": 1000, "memory_dom0": 0, "memory_free": 900, "cpu_total": 1, "cpu_dom0": 0
    }  # fmt: skip
    up = [one for one in snapshot.instances.values() if one.admin_state == "up"]
    running = {up[0].name: {"memory": 100}}
    answered = {node.uuid: description.Said(info=["b", [], [hypervisor]], instances=running)}

    made = description.of_cluster(snapshot, answered, Template.DISKLESS)["nodes"][node.name]

    assert made["free_memory"] == 900 - (made["i_pri_up_memory"] - 100)
    assert made["i_pri_memory"] >= made["i_pri_up_memory"] > 100


@pytest.mark.parametrize("info", [None, [], ["b", [], []], ["b", [], [{"memory_total": "x"}]]])
def test_a_node_that_answers_nonsense_is_passed_over_or_said(info: Any) -> None:
    snapshot = clusters.small(nodes=1, instances=0)
    [node] = snapshot.nodes.values()

    made = description.of_cluster(
        snapshot, {node.uuid: description.Said(info=info)}, Template.DISKLESS
    )

    assert "does not say all" in made["nodes"][node.name]["error"]
    [place] = rooms.places(made, counts_disk=False).values()
    assert not place.room.usable
    with pytest.raises(errors.BadInput, match="Can't get data for node"):
        description.complete(made)


@pytest.mark.parametrize(
    ("policy", "ranks"), [("preferred", (1, 0)), ("last_resort", (0, 1)), ("unallocable", (1, 0))]
)
def test_groups_are_filled_by_their_policy(policy: str, ranks: tuple[int, int]) -> None:
    snapshot = clusters.small(nodes=1, instances=0)
    made = description.of_cluster(snapshot, {}, Template.DISKLESS)
    for group in made["nodegroups"].values():
        group["alloc_policy"] = policy

    found = rooms.by_rank(rooms.places(made, counts_disk=False), {})

    assert tuple(map(len, found)) == ranks
    assert not any(room.usable for rank in found for room in rank)


NODES = {"a", "b"}


def test_an_answer_is_understood_in_both_forms_there_are() -> None:
    for key in ("result", "nodes"):
        text = json.dumps({"success": True, "info": "ok", key: ["a"], "more": 1})
        assert answer.one_node(answer.read(text), NODES) == "a"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"success": true, "info": ""}', '{"success": 1, "info": "", "result": []}',
     '{"success": true, "info": null, "result": []}', "\ud800".encode("utf8", "replace").decode()],
)  # fmt: skip
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(errors.Failure, match="Can't parse iallocator results"):
        answer.read(text)


@pytest.mark.parametrize(
    ("judge", "result"),
    [
        (lambda found: answer.one_node(found, NODES), ["c"]),
        (lambda found: answer.one_node(found, NODES), ["a", "b"]),
        (lambda found: answer.one_node(found, NODES), "a"),
        (lambda found: answer.one_node(found, NODES), [["a"]]),
        (lambda found: answer.many(found, ["x"], NODES), [[["y", ["a"]]], ["x"]]),
        (lambda found: answer.many(found, ["x"], NODES), [[["x", ["a", "b"]]], []]),
        (lambda found: answer.many(found, ["x"], NODES), [[["x", ["c"]]], []]),
        (lambda found: answer.many(found, ["x"], NODES), [[], []]),
        (lambda found: answer.many(found, ["x"], NODES), {}),
    ],
)
def test_an_answer_to_another_question_is_refused(
    judge: Callable[[answer.Answer], Any], result: Any
) -> None:
    with pytest.raises(errors.Failure, match="iallocator returned"):
        judge(answer.Answer(success=True, info="", result=result))


def test_several_are_placed_or_not() -> None:
    found = answer.Answer(success=True, info="", result=[[["x", ["a"]]], ["y"]])

    assert answer.many(found, ["x", "y"], NODES) == ({"x": "a"}, ["y"])
