"""What a guest is told by its seed, and where the seed goes."""

import json
from typing import Any

import pytest

from pyganeti.noded.oses.definitions.image.parts import creating, parameters, seed

_INSTANCE = {
    "INSTANCE_NAME": "web1.example.com",
    "INSTANCE_UUID": "uuid-1",
    "NIC_COUNT": "2",
    "NIC_0_MAC": "AA:00:00:00:00:01",
    "NIC_0_IP": "192.0.2.7",
    "NIC_0_NETWORK_SUBNET": "192.0.2.0/24",
    "NIC_0_NETWORK_GATEWAY": "192.0.2.1",
    "NIC_1_MAC": "aa:00:00:00:00:02",
}


def _contents(environ: dict[str, str] | None = None, **given: str) -> dict[str, str]:
    asked = {f"OSP_{name.upper()}": value for name, value in given.items()}
    return seed.contents(parameters.parse(asked), {**_INSTANCE, **(environ or {})})


def _network(environ: dict[str, str] | None = None, **given: str) -> Any:
    return json.loads(_contents(environ, **given)["network-config"])


def test_a_guest_learns_who_it_is() -> None:
    told = _contents(ssh_keys="ssh-rsa AAAA a\nssh-rsa BBBB b", user_data="#!/bin/sh\n")
    assert json.loads(told["meta-data"]) == {
        "instance-id": "uuid-1",
        "local-hostname": "web1.example.com",
        "public-keys": ["ssh-rsa AAAA a", "ssh-rsa BBBB b"],
    }
    assert told["user-data"] == "#!/bin/sh\n"
    assert _contents()["user-data"] == "#cloud-config\n{}\n"
    assert json.loads(_contents(hostname="db")["meta-data"])["local-hostname"] == "db"


def test_a_name_cannot_become_something_else() -> None:
    name = 'x"\npublic-keys: [evil]'
    assert json.loads(_contents({"INSTANCE_NAME": name})["meta-data"])["local-hostname"] == name


def test_an_address_that_the_cluster_knows_is_configured_and_others_asked_for() -> None:
    assert _network(dns="192.0.2.53", search="example.com") == {
        "version": 2,
        "ethernets": {
            "nic0": {
                "match": {"macaddress": "aa:00:00:00:00:01"},
                "addresses": ["192.0.2.7/24"],
                "routes": [{"to": "0.0.0.0/0", "via": "192.0.2.1"}],
                "nameservers": {"addresses": ["192.0.2.53"], "search": ["example.com"]},
            },
            "nic1": {
                "match": {"macaddress": "aa:00:00:00:00:02"},
                "optional": True,
                "dhcp4": True,
                "nameservers": {"addresses": ["192.0.2.53"], "search": ["example.com"]},
            },
        },
    }
    assert _network(network="dhcp")["ethernets"]["nic0"] == {
        "match": {"macaddress": "aa:00:00:00:00:01"},
        "dhcp4": True,
    }


def test_only_one_nic_leads_out() -> None:
    second = {"NIC_1_IP": "198.51.100.2", "NIC_1_NETWORK_SUBNET": "198.51.100.0/25",
              "NIC_1_NETWORK_GATEWAY": "198.51.100.1"}  # fmt: skip
    nic = _network(second)["ethernets"]["nic1"]
    assert nic["addresses"] == ["198.51.100.2/25"]
    assert "routes" not in nic


def test_the_image_may_do_what_it_does_by_itself() -> None:
    assert "network-config" not in _contents(network="none")
    assert "network-config" not in _contents({"NIC_COUNT": "0"})
    own = "version: 2\nethernets: {}"
    assert _contents(network=own)["network-config"] == own


@pytest.mark.parametrize(
    ("asked", "has_disk", "has_table", "place"),
    [
        ({}, False, False, "none"),
        ({}, False, True, "partition"),
        ({}, True, True, "disk"),
        ({"seed": "partition"}, True, True, "partition"),
        ({"seed": "none"}, True, True, "none"),
        ({"hostname": "db"}, True, False, "disk"),
    ],
)
def test_a_seed_has_its_place(
    asked: dict[str, str],
    has_disk: bool,  # noqa: FBT001 - pytest hands it over by name
    has_table: bool,  # noqa: FBT001
    place: str,
) -> None:
    wanted = parameters.parse({f"OSP_{name.upper()}": value for name, value in asked.items()})
    assert creating.place_of_seed(wanted, has_disk=has_disk, has_table=has_table) == place


@pytest.mark.parametrize("asked", [{"seed": "partition"}, {"seed": "disk"}, {"hostname": "db"}])
def test_a_seed_that_is_wanted_and_has_no_place_is_refused(asked: dict[str, str]) -> None:
    wanted = parameters.parse({f"OSP_{name.upper()}": value for name, value in asked.items()})
    with pytest.raises(parameters.Wrong, match="there is no place for the seed"):
        creating.place_of_seed(wanted, has_disk=False, has_table=False)
