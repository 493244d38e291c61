"""What nodes are told is, key by key, what a real Ganeti 3.0.2 master tells them."""

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import configurations
from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.model.config import datafile, entries
from pyganeti.model.config.instance import Nic
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import noderpc

_GOLDEN = Path(__file__).parents[3] / "golden"


def _bodies(call: str) -> list[Any]:
    found: list[Any] = json.loads((_GOLDEN / f"rpc/{call}.json").read_text())
    return found


def _at(told: dict[str, Any]) -> Snapshot | None:
    """Return the configuration of when an instance was told, None if it was not recorded."""
    for body in _bodies("upload_file_single"):
        snapshot = entries.to_snapshot(datafile.parse(noderpc.decode_blob(body[1])))
        instance = snapshot.instances.get(told["uuid"])
        if instance is not None and instance.disks and instance.mtime == told["mtime"]:
            # A migration changes the primary node and, in Ganeti, nothing else.
            moved = msgspec.structs.replace(instance, primary_node=told["primary_node"])
            return msgspec.structs.replace(
                snapshot, instances=snapshot.instances.changed({instance.uuid: moved})
            )
    return None


_CALLS = {
    "instance_start": 0,
    "instance_shutdown": 0,
    "instance_reboot": 0,
    "instance_migratable": 0,
    "migration_info": 0,
    "accept_instance": 0,
    "blockdev_assemble": 1,
}
"""Calls that take an instance, and which argument it is."""


@pytest.mark.parametrize("call", _CALLS)
def test_an_instance_is_told_as_a_real_master_tells_it(call: str) -> None:
    told = [body[_CALLS[call]] for body in _bodies(call)]
    recorded = [(snapshot, one) for one in told if (snapshot := _at(one)) is not None]
    for snapshot, one in recorded:
        assert rpcargs.instance_for_node(snapshot, snapshot.instances[one["uuid"]]) == one
    assert recorded, "no configuration of that time was recorded"


@pytest.mark.parametrize(
    ("call", "find"),
    [
        ("blockdev_assemble", lambda body: body[0]),
        ("blockdev_shutdown", lambda body: body[0]),
        ("blockdev_remove", lambda body: body[0]),
        ("blockdev_open", lambda body: body[1][0]),
        ("blockdev_close", lambda body: body[1][0]),
    ],
)
def test_a_disk_is_told_as_a_real_master_tells_it(call: str, find: Any) -> None:
    snapshot = configurations.real()
    instance = snapshot.instance("k1")
    (disk,) = snapshot.disks_of(instance)
    told = [find(body) for body in _bodies(call)]
    assert rpcargs.disk_for_node(snapshot, instance, disk) in told


def test_mirrored_disks_networks_and_parameters_are_told_as_ganeti_tells_them() -> None:
    snapshot = configurations.real("config-drbd.data")
    golden = json.loads((_GOLDEN / "config/instances-drbd.json").read_text())
    assert len(golden) == 6
    for key, told in golden.items():
        instance, node = key.split()
        made = rpcargs.instance_for_node(
            snapshot, snapshot.instances[instance], snapshot.nodes[node]
        )
        made["tags"].sort()
        told["tags"].sort()
        for network in (nic["netinfo"] for nic in told["nics"] if "netinfo" in nic):
            network["tags"].sort()
        for disk in told["disks_info"]:  # Ganeti leaves out what is as usual
            disk.setdefault("children", [])
        assert msgspec.to_builtins(made) == told


def test_a_node_that_does_not_mirror_a_disk_gets_no_addresses() -> None:
    snapshot = configurations.real("config-drbd.data")
    instance = snapshot.instance("web1")
    (disk,) = snapshot.disks_of(instance)
    told = rpcargs.disk_for_node(snapshot, instance, disk, snapshot.node("node10"))
    assert told["dynamic_params"] == {}


def test_what_is_given_holds_above_the_instance_s_own_for_once() -> None:
    snapshot = configurations.real("config-drbd.data")
    instance = snapshot.instance("web1")
    told = rpcargs.instance_for_node(
        snapshot,
        instance,
        hvparams={"boot_order": "network"},
        beparams={"maxmem": 99},
        osparams={"key": "secret"},
        admin_state="down",
    )
    assert told["hvparams"]["boot_order"] == "network"
    assert told["beparams"]["maxmem"] == 99
    assert told["osparams"] == {"size": "large", "key": "secret"}
    assert told["admin_state"] == "down"
    assert snapshot.instance("web1").admin_state == "up"


def test_what_is_told_belongs_to_the_caller() -> None:
    snapshot = configurations.real("config-drbd.data")
    instance = snapshot.instance("db1")
    before = copy.deepcopy(rpcargs.instance_for_node(snapshot, instance))
    told = rpcargs.instance_for_node(snapshot, instance)
    told["disks_info"][1]["params"].clear()
    told["nics"][0]["nicparams"].clear()
    told["tags"].append("more")
    told["hvparams"].clear()
    assert rpcargs.instance_for_node(snapshot, instance) == before


def test_the_master_s_address_is_told_as_a_real_master_tells_it() -> None:
    assert (
        rpcargs.master_address(configurations.real()) == (_bodies("node_activate_master_ip")[0][0])
    )


def test_hypervisors_are_told_with_the_cluster_s_parameters() -> None:
    ((name, params), *_) = rpcargs.hypervisors(configurations.real())
    assert name == "kvm"
    assert params == _bodies("hypervisor_validate_params")[0][1]


def test_volume_groups_are_told_with_whether_disks_are_shared() -> None:
    snapshot = configurations.real("config-drbd.data")
    units = [("file", "/srv"), ("lvm-vg", "xenvg")]
    assert rpcargs.storage_units(snapshot, snapshot.node("node1"), units) == [
        ["file", "/srv", []],
        ["lvm-vg", "xenvg", [False]],
    ]
    assert rpcargs.storage_units(snapshot, snapshot.node("node10"), units) == [
        ["file", "/srv", []],
        ["lvm-vg", "xenvg", [True]],
        ["lvm-pv", "xenvg", [True]],
    ]


def test_a_network_that_is_lost_is_damage() -> None:
    with pytest.raises(errors.Damaged, match="card n does not exist"):
        rpcargs.nic_for_node(configurations.of(0), Nic(mac="m", uuid="n", network="gone"))
