"""What the cluster's settings become, worked out without anybody being asked."""

from typing import Any

import pytest

from lab import clusters
from pyganeti.base import errors
from pyganeti.masterd.ops.cluster import inherited, settings
from pyganeti.model.config import defaults
from pyganeti.model.opcodes.cluster import ClusterSetParams

CLUSTER = clusters.small().cluster


def test_nothing_said_changes_nothing() -> None:
    assert settings.changes(CLUSTER, ClusterSetParams()) == {}
    assert inherited.changes(CLUSTER, ClusterSetParams()) == {}


def test_only_what_is_said_changes() -> None:
    op = ClusterSetParams(max_running_jobs=3, vg_name="", hidden_os=[("add", "x")])

    assert settings.changes(CLUSTER, op) == {
        "max_running_jobs": 3,
        "volume_group_name": None,
        "hidden_os": ("x",),
    }


def test_a_hypervisors_parameter_goes_back_to_ganetis_own() -> None:
    found = inherited.hypervisor_parameters(
        {"kvm": {"acpi": False, "boot_order": "cdrom"}}, {"kvm": {"acpi": "default"}}, ["kvm"]
    )

    assert found["kvm"]["acpi"] is True
    assert found["kvm"]["boot_order"] == "cdrom"
    assert found["kvm"]["serial_speed"] == defaults.HYPERVISORS["kvm"]["serial_speed"]


@pytest.mark.parametrize(
    ("before", "given", "after"),
    [
        ({}, {"a": {"kvm": {"acpi": False}}}, {"a": {"kvm": {"acpi": False}}}),
        ({"a": {"kvm": {"acpi": False}}}, {"a": {"kvm": None}}, {}),
        ({"a": {"kvm": {"acpi": False}}}, {"a": {"kvm": {"acpi": "default"}}}, {}),
        ({"a": {"kvm": {}}}, {"b": {}}, {"a": {"kvm": {}}}),
    ],
)
def test_systems_have_hypervisor_parameters_of_their_own(
    before: Any, given: Any, after: Any
) -> None:
    assert inherited.of_systems(before, given) == after


def test_parameters_of_systems_are_taken_away_by_null_and_default() -> None:
    before = {"a": {"x": "1", "y": "2"}, "b": {"z": "3"}}

    given: Any = {"a": {"x": None, "w": "4"}, "b": {"z": "default"}}
    assert inherited.system_parameters(before, given) == {"a": {"y": "2", "w": "4"}}


@pytest.mark.parametrize(
    ("mods", "after"),
    [
        ([("add", "b")], ("a", "b")),
        ([("add", "a")], ("a",)),
        ([("remove", "a")], ()),
        ([("remove", "b")], ("a",)),
    ],
)
def test_lists_of_systems_grow_and_shrink(
    mods: list[tuple[str, str]], after: tuple[str, ...]
) -> None:
    assert settings.systems(("a",), mods) == after


@pytest.mark.parametrize(
    "op",
    [
        ClusterSetParams(hidden_os=[("nosuch", "a")]),
        ClusterSetParams(uid_pool=[(5, 1)]),
        ClusterSetParams(remove_uids=[(5, 9)]),
        ClusterSetParams(master_netmask=33),
        ClusterSetParams(mac_prefix="nonsense"),
        ClusterSetParams(compression_tools=["/bin/x"]),
        ClusterSetParams(enabled_data_collectors={"nosuch": True}),
        ClusterSetParams(data_collector_interval={"lv": 0}),
        ClusterSetParams(file_storage_dir="relative"),
        ClusterSetParams(hv_state={"nosuch": {}}),
        ClusterSetParams(disk_state={"nosuch": {}}),
        ClusterSetParams(zeroing_image="x"),
    ],
)
def test_settings_that_make_no_sense_are_refused(op: ClusterSetParams) -> None:
    with pytest.raises(errors.BadInput):
        settings.changes(CLUSTER, op)


@pytest.mark.parametrize(
    "op",
    [
        ClusterSetParams(hvparams={"kvm": {"nosuch": 1}}),
        ClusterSetParams(os_hvp={"a": {"kvm": {"nosuch": 1}}}),
        ClusterSetParams(os_hvp={"a": {"kvm": 3}}),
        ClusterSetParams(os_hvp={"a": 3}),  # type: ignore[dict-item]
        ClusterSetParams(beparams={"vcpus": "many"}),
        ClusterSetParams(beparams={"nosuch": 1}),
        ClusterSetParams(nicparams={"nosuch": 1}),
        ClusterSetParams(ndparams={"ssh_port": True}),
        ClusterSetParams(diskparams={"nosuch": {}}),
        ClusterSetParams(diskparams={"rbd": {"nosuch": 1}}),
        ClusterSetParams(ipolicy={"nosuch": 1}),
        ClusterSetParams(ipolicy={"minmax": "default"}),
        ClusterSetParams(ipolicy={"minmax": 3}),
        ClusterSetParams(ipolicy={"vcpu-ratio": "x"}),
        ClusterSetParams(ipolicy={"std": {"nosuch": 3}}),
        ClusterSetParams(ipolicy={"std": 3}),
    ],
)
def test_parameters_that_make_no_sense_are_refused(op: ClusterSetParams) -> None:
    with pytest.raises(errors.BadInput):
        inherited.changes(CLUSTER, op)


def test_memory_is_the_least_and_the_most() -> None:
    found = inherited.changes(CLUSTER, ClusterSetParams(beparams={"memory": 512}))

    assert found["beparams"]["default"]["minmem"] == 512
    assert found["beparams"]["default"]["maxmem"] == 512


def test_what_may_not_be_meant_is_told() -> None:
    op = ClusterSetParams(gluster_storage_dir="/x", hidden_os=[("remove", "a")])

    told = settings.warnings(CLUSTER, op)

    assert len(told) == 2
    assert "gluster storage is not enabled" in told[0]
