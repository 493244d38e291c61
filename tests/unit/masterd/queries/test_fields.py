"""The fields of every resource, compared with those that a real Ganeti has."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab import clusters
from pyganeti.base import errors
from pyganeti.masterd.queries import engine

GOLDEN = Path(__file__).parents[3] / "golden/luxi"
RECORDED = ("export", "filter", "group", "instance", "job", "lock", "network", "node")
OURS = {
    "given_up",
    "given_up_time",
    "on_stop",
    "run_since",
    "start_priority",
    "stop_cause",
    "stop_node",
    "stop_time",
    "stop_why",
}
"""Fields of instances that Ganeti has not."""

OURS_OF_NODES = {"epoch", "follows", "lease", "leads", "store"}


@pytest.mark.parametrize("what", RECORDED)
def test_fields_are_ganetis_by_name_title_kind_and_order(asking: engine.Engine, what: str) -> None:
    golden = json.loads((GOLDEN / f"fields-{what}.json").read_text())["result"]["fields"]
    fields = asking.query_fields(what)["fields"]
    wanted = {"instance": OURS, "node": OURS_OF_NODES}.get(what, set())
    assert {field["name"] for field in fields} >= wanted
    assert [
        {key: field[key] for key in ("name", "title", "kind")}
        for field in fields
        if field["name"] not in wanted
    ] == golden


def test_every_field_says_what_it_is(asking: engine.Engine) -> None:
    for what in asking.resources:
        for field in asking.query_fields(what)["fields"]:
            assert field["doc"], field
            assert field["kind"] != "unknown"


def test_fields_that_are_asked_for_come_in_that_order(asking: engine.Engine) -> None:
    fields = asking.query_fields("node", ["role", "nosuch", "name"])["fields"]
    assert [(field["name"], field["kind"]) for field in fields] == [
        ("role", "text"),
        ("nosuch", "unknown"),
        ("name", "text"),
    ]


def test_a_resource_that_there_is_not_is_refused(asking: engine.Engine) -> None:
    with pytest.raises(errors.BadInput, match="Unknown query resource 'nosuch'"):
        asking.query_fields("nosuch")


@pytest.mark.parametrize("what", ["instance", "node", "group", "network", "filter", "cluster"])
async def test_every_field_has_a_cell_in_every_row(asking: engine.Engine, what: str) -> None:
    fields = [field["name"] for field in asking.query_fields(what)["fields"]]
    answer = await asking.query(what, fields)
    assert answer["data"]
    for row in answer["data"]:
        for name, (status, value) in zip(fields, row, strict=True):
            assert status in {0, 2, 3, 4}, name
            assert status == 0 or value is None


async def test_values_are_of_the_kind_that_their_field_has(asking: engine.Engine) -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "text": (str,),
        "bool": (bool,),
        "number": (int,),
        "float": (int, float),
        "unit": (int,),
        "timestamp": (int, float),
        "other": (object,),
    }
    for what in ("instance", "node", "group", "network", "cluster"):
        fields = asking.query_fields(what)["fields"]
        answer = await asking.query(what, [field["name"] for field in fields])
        for row in answer["data"]:
            for field, (status, value) in zip(fields, row, strict=True):
                if status == 0:
                    assert isinstance(value, kinds[field["kind"]]), (field, value)


def cells(answer: dict[str, Any]) -> list[list[Any]]:
    return [[value for _, value in row] for row in answer["data"]]


async def test_devices_have_a_cell_by_their_place(asking: engine.Engine) -> None:
    fields = ["disk.size/0", "disk.size/1", "nic.mac/0", "nic.ip/0", "nic.bridge/0", "nic.vlan/0"]
    row = (await asking.query("instance", fields, ["=", "name", "web1"]))["data"][0]
    assert row == [(0, 1024), (3, None), (0, "aa:00:00:00:00:00"), (3, None), (0, "br0"), (3, None)]


async def test_parameters_come_from_where_they_are_set(asking: engine.Engine) -> None:
    fields = ["be/memory", "be/vcpus", "hv/acpi", "hv/kernel_path", "hv/vif_type", "vcpus"]
    row = (await asking.query("instance", fields, ["=", "name", "web1"]))["data"][0]
    assert row == [(0, 256), (0, 1), (0, True), (0, ""), (3, None), (0, 1)]


async def test_a_disk_that_is_missing_makes_its_fields_unknown(
    make_engine: Any, asking: engine.Engine
) -> None:
    broken = clusters.instance(0, disks=("nosuch",))
    answer = await make_engine(clusters.replaced(clusters.small(), broken)).query(
        "instance", ["disk.sizes", "disk_usage", "disk_template", "disk.size/0", "disk.count"]
    )
    assert answer["data"][0] == [(2, None), (2, None), (2, None), (2, None), (0, 1)]


async def test_an_instance_to_come_has_no_data_for_what_is_not_decided(make_engine: Any) -> None:
    coming = clusters.instance(
        0, forthcoming=True, name="", primary_node="", os="", admin_state="", hypervisor=""
    )
    fields = ["name", "pnode", "os", "admin_state", "admin_up", "forthcoming", "hv/acpi"]
    answer = await make_engine(clusters.replaced(clusters.small(), coming)).query(
        "instance", fields, ["=", "uuid", clusters.instance_uuid(0)]
    )
    assert answer["data"] == [
        [(2, None), (2, None), (2, None), (2, None), (2, None), (0, True), (3, None)]
    ]
