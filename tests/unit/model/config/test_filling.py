"""Parameters come to what the nearest says: instance, OS or group, cluster, defaults."""

from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.model.config import defaults, filling
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node


def _cluster(**more: Any) -> Cluster:
    return Cluster(
        uuid="c", cluster_name="c", master_node="n", master_ip="", master_netdev="lo", **more
    )


def test_hypervisor_parameters_come_from_the_instance_then_its_os_then_the_cluster() -> None:
    cluster = _cluster(
        hvparams={"kvm": {"acpi": False, "cpu_type": "host", "vga": "std"}},
        os_hvp={"image+small": {"kvm": {"vga": "cirrus", "boot_order": "cdrom"}},
                "image": {"kvm": {"cpu_type": "never: an OS with a variant has its own"}},
                "other": {"kvm": {"acpi": True}}},
    )  # fmt: skip
    instance = Instance(uuid="i", name="i", os="image+small", hvparams={"boot_order": "network"})
    filled = filling.hypervisor_of(cluster, instance)
    assert filled["boot_order"] == "network"
    assert filled["vga"] == "cirrus"
    assert filled["cpu_type"] == "host"
    assert filled["acpi"] is False
    assert filled["disk_type"] == "paravirtual"
    assert filled.keys() == defaults.HYPERVISORS["kvm"].keys()


def test_what_holds_for_the_whole_cluster_comes_from_the_cluster_alone() -> None:
    cluster = _cluster(hvparams={"kvm": {"migration_port": 9000}})
    instance = Instance(uuid="i", name="i", hvparams={"migration_port": 1, "vga": "std"})
    filled = filling.hypervisor_of(cluster, instance)
    assert filled["migration_port"] == 9000
    assert "migration_port" not in filling.without_globals(filled)
    assert filling.without_globals(filled)["vga"] == "std"


def test_an_unknown_hypervisor_has_what_the_cluster_says_of_it() -> None:
    cluster = _cluster(hvparams={"fake": {"migration_mode": "live"}})
    assert filling.hypervisor(cluster, "fake", "", {"x": 1}) == {"migration_mode": "live", "x": 1}
    assert filling.hypervisor(cluster, "other", "", {}) == {}


def test_backend_and_nic_parameters_come_from_the_cluster_s_default_set() -> None:
    cluster = _cluster(
        beparams={"default": {"maxmem": 512}}, nicparams={"default": {"link": "br7"}}
    )
    assert filling.backend(cluster, {"vcpus": 3}) == {
        **defaults.BACKEND,
        "maxmem": 512,
        "vcpus": 3,
    }
    assert filling.nic(cluster, {"mode": "routed"}) == {
        "mode": "routed",
        "link": "br7",
        "vlan": "",
    }


def test_a_node_s_parameters_come_from_it_then_its_group_then_the_cluster() -> None:
    cluster = _cluster(ndparams={"ssh_port": 2222, "ovs": True, "spindle_count": 4})
    group = NodeGroup(name="g", uuid="g", ndparams={"ovs": False, "spindle_count": 5})
    node = Node(
        name="n", uuid="n", group="g", primary_ip="", secondary_ip="", ndparams={"ovs_name": "s"}
    )
    assert filling.node(cluster, group, node) == {
        **defaults.NODE, "ssh_port": 2222, "ovs": False, "spindle_count": 5, "ovs_name": "s",
    }  # fmt: skip
    assert filling.node(cluster, group)["ovs_name"] == "switch1"


def test_os_parameters_come_from_given_then_the_variant_then_the_os() -> None:
    cluster = _cluster(
        osparams={"image": {"a": "1", "b": "1", "c": "1"}, "image+small": {"b": "2", "c": "2"}},
        osparams_private_cluster={"image": {"key": "1"}},
    )
    fill = filling.operating_system
    assert fill(cluster, "image+small", {"c": "3"}) == {"a": "1", "b": "2", "c": "3"}
    assert fill(cluster, "image", {}, private={}) == {"a": "1", "b": "1", "c": "1", "key": "1"}
    assert fill(cluster, "other", {"x": ""}, private={"y": ""}, secret={"z": ""}) == {
        "x": "",
        "y": "",
        "z": "",
    }
    instance = Instance(uuid="i", name="i", os="image+small", osparams_private={"more": "2"})
    assert filling.private_of(cluster, instance) == {"key": "1", "more": "2"}


def test_an_os_parameter_at_two_visibilities_is_refused_without_its_values() -> None:
    cluster = _cluster(osparams={"image": {"password": "public"}})
    with pytest.raises(errors.BadInput, match="two visibilities: password") as caught:
        filling.operating_system(cluster, "image", {}, private={"password": "tell-nobody"})
    assert "tell-nobody" not in str(caught.value)


def test_disk_parameters_come_from_the_group_then_the_cluster() -> None:
    cluster = _cluster(diskparams={"plain": {"stripes": 3}, "rbd": {"pool": "fast"}})
    group = NodeGroup(name="g", uuid="g", diskparams={"rbd": {"access": "userspace"}})
    filled = filling.disk(cluster, group)
    assert filled["rbd"] == {"access": "userspace", "pool": "fast"}
    assert filled["plain"] == {"stripes": 3}
    assert filled["file"] == {}
    assert filled.keys() == defaults.DISKS.keys()


def test_a_policy_s_standard_is_filled_by_part_and_all_else_as_a_whole() -> None:
    cluster = _cluster(ipolicy={"std": {"cpu-count": 2}, "vcpu-ratio": 1.0})
    group = NodeGroup(name="g", uuid="g", ipolicy={"minmax": [], "std": {"nic-count": 0}})
    filled = filling.policy(cluster, group)
    assert filled["std"] == {**defaults.POLICY["std"], "cpu-count": 2, "nic-count": 0}
    assert filled["minmax"] == []
    assert filled["vcpu-ratio"] == 1.0
    assert filled["spindle-ratio"] == 32.0


def test_what_comes_back_belongs_to_the_caller() -> None:
    cluster = _cluster()
    filling.policy(cluster)["minmax"][0]["max"]["cpu-count"] = 0
    filling.disk(cluster)["plain"]["stripes"] = 0
    filling.hypervisor(cluster, "kvm", "", {})["acpi"] = None
    assert filling.policy(cluster) == defaults.POLICY
    assert filling.disk(cluster)["plain"] == {"stripes": 1}
    assert filling.hypervisor(cluster, "kvm", "", {})["acpi"] is True
