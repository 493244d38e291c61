"""The configuration of an export, as Ganeti writes and reads it."""

import configparser
from typing import Any

import msgspec
import pytest

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded.exports import description

_INSTANCE: dict[str, Any] = {
    "name": "web1.example.com",
    "os": "image",
    "primary_node": "uuid-of-the-node",
    "hypervisor": "kvm",
    "beparams": {"maxmem": 256, "minmem": 128, "vcpus": 2, "auto_balance": True},
    "hvparams": {"kernel_args": "ro quiet 50%", "migration_port": 8102, "acpi": True},
    "osparams": {"user_data": "#cloud-config\npackages: [a]"},
    "osparams_private": {"password": "s3cret"},
    "nics": [
        {"mac": "aa:00:00:00:00:01", "nicparams": {"mode": "bridged", "link": "br0", "vlan": ""}}
    ],
    "tags": ["b", "a"],
    "disks_info": [],
}


def _disk(volume: str, **fields: object) -> disks.Disk:
    return disks.from_wire(
        {"dev_type": "plain", "logical_id": ["vg", volume], "size": 1024, "uuid": f"uuid-{volume}",
         "iv_name": "disk/0", **fields}
    )  # fmt: skip


def _written(dumped: list[disks.Disk | None], **fields: object) -> configparser.ConfigParser:
    instance = msgspec.convert(_INSTANCE | fields, description.Instance)
    read = configparser.ConfigParser()
    read.read_string(description.write(instance, dumped, 1700000000))
    return read


def test_everything_is_there_in_ganetis_words() -> None:
    read = _written([_disk("one", name="root"), None])
    assert read.sections() == ["export", "instance", "hypervisor", "backend", "os", "os_private"]
    assert dict(read["export"]) == {
        "version": "0", "timestamp": "1700000000", "source": "uuid-of-the-node", "os": "image",
        "compression": "none",
    }  # fmt: skip
    assert dict(read["instance"]) == {
        "name": "web1.example.com", "maxmem": "256", "minmem": "128", "memory": "256",
        "vcpus": "2", "disk_template": "plain", "hypervisor": "kvm", "tags": "a b",
        "nic0_mac": "aa:00:00:00:00:01", "nic0_ip": "None", "nic0_network": "None",
        "nic0_name": "None", "nic0_link": "br0", "nic0_mode": "bridged", "nic0_vlan": "",
        "nic_count": "1", "disk0_ivname": "disk/0", "disk0_dump": "uuid-one",
        "disk0_size": "1024", "disk0_name": "root", "disk_count": "1",
    }  # fmt: skip
    assert dict(read["hypervisor"]) == {"kernel_args": "ro quiet 50%", "acpi": "True"}
    assert read["backend"]["auto_balance"] == "True"
    assert read["os"]["user_data"] == "#cloud-config\npackages: [a]"
    assert read["os_private"]["password"] == "s3cret"  # noqa: S105 - an example


def test_the_template_is_that_of_the_disks() -> None:
    assert _written([])["instance"]["disk_template"] == "diskless"
    mixed = _written([_disk("one"), _disk("two", dev_type="file")])
    assert mixed["instance"]["disk_template"] == "mixed"


def test_what_is_written_is_read_again_and_stays() -> None:
    text = description.write(
        msgspec.convert(_INSTANCE, description.Instance), [_disk("one")], 1700000000
    )
    assert description.check(text) == text


@pytest.mark.parametrize("text", ["", "[export]\n", "no section", "[instance]\nx=1\n[instance]\n"])
def test_what_is_no_export_is_refused(text: str) -> None:
    with pytest.raises(errors.Damaged):
        description.check(text)


def test_what_cannot_be_written_is_refused() -> None:
    for fields, words in (
        ({"beparams": {}}, "memory and processors"),
        ({"osparams": {"a=b": 1}}, "cannot be a key"),
        ({"osparams": {"a\n[x]": 1}}, "cannot be a key"),
    ):
        with pytest.raises(errors.BadInput, match=words):
            _written([], **fields)
