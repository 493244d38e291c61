"""What OS scripts are told of an instance that a real master sent."""

import json
from pathlib import Path

import msgspec
import pytest

from pyganeti.base import errors, paths
from pyganeti.model import disk as disks
from pyganeti.noded.oses import definition, environment

_GOLDEN = Path(__file__).parents[3] / "golden/rpc/instance_os_add.json"


def _recorded() -> environment.Instance:
    return msgspec.convert(json.loads(_GOLDEN.read_bytes())[0][0], environment.Instance)


def test_everything_is_told_as_ganeti_tells_it(has: definition.Definition) -> None:
    # What Ganeti 3.0.2's own code makes of such an instance (its tags in no particular order).
    recorded = json.loads((_GOLDEN.parents[1] / "oses/environment.json").read_bytes())
    instance = msgspec.convert(recorded["instance"], environment.Instance)
    told = [
        environment.Disk(
            template=disk.dev_type.value, size=disk.size, mode=disk.mode, uuid=disk.uuid,
            name=disk.name, driver=str(disk.logical_id[0]), path="/dev/fake",
        )
        for disk in map(disks.from_wire, instance.disks_info)
    ]  # fmt: skip
    assert environment.of_instance(instance, has, told, debug=1) == recorded["environment"]


@pytest.fixture
def has(layout: paths.Paths, folder: Path) -> definition.Definition:
    return definition.load("noop", definition.places(layout))


def test_a_recorded_instance_is_told_in_ganetis_words(has: definition.Definition) -> None:
    instance = _recorded()
    disk = environment.Disk(
        template="sharedfile", size=16, mode="rw", uuid="u-1", driver="loop", path="/srv/disk0"
    )
    said = environment.of_instance(instance, has, [disk], debug=1)
    expected = {
        "OS_API_VERSION": "20",
        "OS_NAME": "noop",
        "OS_VARIANT": "default",
        "DEBUG_LEVEL": "1",
        "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
        "HYPERVISOR": "kvm",
        "INSTANCE_NAME": "k1.example.com",
        "INSTANCE_OS": "noop+default",
        "INSTANCE_UUID": "457a2e05-ad39-4309-a8a7-8d45452293f3",
        "INSTANCE_CTIME": "1795242353.130222",
        "INSTANCE_MTIME": "1795242353.246338",
        "INSTANCE_PRIMARY_NODE": "9a12d554-75c0-4cb1-8064-103365145db0",
        "INSTANCE_SECONDARY_NODES": "",
        "INSTANCE_BE_always_failover": "False",
        "INSTANCE_BE_maxmem": "64",
        "INSTANCE_HV_acpi": "True",
        "INSTANCE_HV_kernel_args": "ro",
        "INSTANCE_HV_vnc_bind_address": "",
        "DISK_COUNT": "1",
        "DISK_0_ACCESS": "rw",
        "DISK_0_UUID": "u-1",
        "DISK_0_SIZE": "16",
        "DISK_0_PATH": "/srv/disk0",
        "DISK_0_FRONTEND_TYPE": "paravirtual",
        "DISK_0_BACKEND_TYPE": "file:loop",
        "NIC_COUNT": "1",
        "NIC_0_MAC": "aa:bb:cc:73:f4:91",
        "NIC_0_UUID": "b30f434b-9341-450e-b25f-a67cb87f737c",
        "NIC_0_IP": "10.9.9.9",
        "NIC_0_MODE": "routed",
        "NIC_0_LINK": "lo",
        "NIC_0_FRONTEND_TYPE": "paravirtual",
    }
    assert expected.items() <= said.items()
    assert not said.keys() & {"DISK_0_URI", "DISK_0_NAME", "NIC_0_BRIDGE", "NIC_0_NAME"}


def test_parameters_are_upper_case_and_private_ones_go_before(has: definition.Definition) -> None:
    instance = msgspec.structs.replace(
        _recorded(),
        os="noop",
        osparams={"root-size": "5", "key": "public"},
        osparams_private={"key": "secret"},
    )
    said = environment.of_instance(instance, has, [])
    assert said["OSP_ROOT_SIZE"] == "5"
    assert said["OSP_KEY"] == "secret"
    assert said["OS_VARIANT"] == "default"


def test_networks_bridges_and_devices_are_told(has: definition.Definition) -> None:
    nic = environment.Nic(
        mac="aa:00:00:00:00:01",
        name="front",
        nicparams={"mode": "bridged", "link": "br0", "vlan": ""},
        netinfo={"name": "net1", "uuid": "n-1", "network": "10.0.0.0/24", "tags": []},
    )
    disk = environment.Disk(template="rbd", size=1, mode="ro", name="data", uri="rbd:pool/x")
    said = environment.of_instance(msgspec.structs.replace(_recorded(), nics=[nic]), has, [disk])
    expected = {
        "NIC_0_BRIDGE": "br0",
        "NIC_0_NAME": "front",
        "NIC_0_NETWORK_NAME": "net1",
        "NIC_0_NETWORK_SUBNET": "10.0.0.0/24",
        "DISK_0_BACKEND_TYPE": "block",
        "DISK_0_NAME": "data",
        "DISK_0_URI": "rbd:pool/x",
    }
    assert expected.items() <= said.items()
    assert "DISK_0_PATH" not in said


def test_what_cannot_be_told_is_refused(has: definition.Definition) -> None:
    for change in ({"name": "../x"}, {"osparams": {"a\0": "x"}}, {"osparams": {"a": "x\0"}}):
        with pytest.raises(errors.BadInput):
            environment.of_instance(msgspec.structs.replace(_recorded(), **change), has, [])
