"""NICs from what masters send."""

from collections.abc import Callable
from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.noded.net import nic, openvswitch

Make = Callable[..., nic.Nic]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mac": "aa:bb"}, "not a MAC address"),
        ({"mode": "carrier pigeon"}, "Invalid enum value"),
        ({"link": ""}, "not the name of a bridge"),
        ({"link": "../../etc"}, "not the name of a bridge"),
        ({"link": "sixteen-letters-"}, "not the name of a bridge"),
        ({"vlan": "x"}, "does not say VLANs"),
        ({"ip": 5}, "Expected `str | null`"),
    ],
)
def test_what_cannot_be_attached_is_refused(
    make_nic: Make, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(errors.BadInput, match=words):
        make_nic(**changes)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\0b"])
def test_an_instances_name_is_no_path(name: str) -> None:
    sent = {"mac": "aa:bb:cc:00:00:01", "nicparams": {"mode": "bridged", "link": "br0"}}
    with pytest.raises(errors.BadInput, match="is not the name of an instance"):
        nic.from_wire(name, [], 0, sent)


def test_scripts_are_not_told_what_is_not_set(make_nic: Make) -> None:
    said = nic.environment(make_nic(), "tap0", "up")
    assert not said.keys() & {"IP", "INTERFACE_NAME", "NETWORK_NAME"}
    assert said["VLAN"] == ""


def test_a_routed_nic_has_no_bridge(make_nic: Make) -> None:
    said = nic.environment(make_nic(mode="routed", link="100", ip="10.0.0.1"), "tap0", "down")
    assert (said["MODE"], said["LINK"]) == ("routed", "100")
    assert "BRIDGE" not in said


def test_a_communication_nic_is_known_by_its_name(make_nic: Make) -> None:
    name = "ganeti:communication:web1"
    assert make_nic(mode="routed", link="", name=name).is_for_communication
    assert not make_nic(name=name).is_for_communication


def test_a_switchs_port_is_made_in_one_transaction(make_nic: Make) -> None:
    attach = ["--if-exists", "del-port", "tap0", "--", "add-port", "sw1", "tap0"]
    for vlan, settings in {
        "": [],
        "10": ["tag=10"],
        ":20:30": ["trunks=20,30"],
        ".10:20": ["tag=10", "vlan_mode=native-untagged", "trunks=20"],
    }.items():
        made = make_nic(mode="openvswitch", link="sw1", vlan=vlan)
        assert openvswitch.attachment(made, "tap0") == attach + settings


def test_a_switch_is_made_in_one_transaction() -> None:
    assert openvswitch.making("switch1", None) == ["--may-exist", "add-br", "switch1"]
    assert openvswitch.making("switch1", "eth1") == [
        "--may-exist", "add-br", "switch1", "--", "--may-exist", "add-port", "switch1", "eth1",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "a:b", ".", "..", "x" * 16])
def test_what_is_no_interface_is_no_switch(name: str) -> None:
    with pytest.raises(errors.BadInput, match="not the name of an interface"):
        openvswitch.making(name, None)
    with pytest.raises(errors.BadInput, match="not the name of an interface"):
        openvswitch.making("switch1", name)
