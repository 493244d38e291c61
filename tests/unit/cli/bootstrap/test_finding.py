import pytest

from pyganeti.base import errors
from pyganeti.cli.bootstrap import finding

LO = finding.Interface("lo", ("127.0.0.1", "::1"))
ETH = finding.Interface("eth0", ("192.0.2.7", "fe80::1", "2001:db8::7"))


def test_a_machine_with_one_address_is_known_by_it() -> None:
    assert finding.primary_address("nobody.invalid", [LO, ETH]) == "192.0.2.7"
    assert finding.primary_address("nobody.invalid", [LO, ETH], ipv6=True) == "2001:db8::7"


def test_a_machine_with_several_or_none_has_to_be_told() -> None:
    more = finding.Interface("eth1", ("198.51.100.7",))
    with pytest.raises(errors.BadInput, match=r"several.*--primary-ip"):
        finding.primary_address("nobody.invalid", [LO, ETH, more])
    with pytest.raises(errors.BadInput, match=r"no address of its own.*--primary-ip"):
        finding.primary_address("nobody.invalid", [LO])


def test_an_address_is_found_on_its_interface() -> None:
    assert finding.interface_of("192.0.2.7", [LO, ETH]) == "eth0"
    with pytest.raises(errors.BadInput, match="not an address of this machine"):
        finding.interface_of("192.0.2.8", [LO, ETH])


def test_a_cluster_whose_name_does_not_resolve_is_told_what_to_do() -> None:
    with pytest.raises(errors.BadInput, match="--master-ip"):
        finding.cluster_address("nobody.invalid")


def test_this_machines_loopback_is_found() -> None:
    assert "127.0.0.1" in next(one for one in finding.interfaces() if one.name == "lo").addresses
