"""Network cards that are asked for get addresses of their own and the cluster's parameters."""

import itertools
from typing import Any

import msgspec
import pytest

from lab import clusters
from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.ops.instance import newnics
from pyganeti.model.config.instance import Nic


def made(*asked: dict[str, Any], mode: str = "bridged", **given: Any) -> list[Nic]:
    snapshot = clusters.furnished()
    nicparams = {"default": {"mode": mode, "link": "br0", "vlan": ""}}
    cluster = msgspec.structs.replace(snapshot.cluster, nicparams=nicparams)
    changed = draft.Draft(msgspec.structs.replace(snapshot, cluster=cluster), 0.0)
    numbers = itertools.count()
    [group] = snapshot.groups.values()
    return newnics.make(changed, group, asked, new_uuid=lambda: f"u{next(numbers)}", **given)


def test_cards_get_addresses_that_nobody_has() -> None:
    taken = {nic.mac for one in clusters.furnished().instances.values() for nic in one.nics}

    cards = made({}, {"mac": "generate"}, {"mac": "AA:00:00:77:77:77"})

    macs = [card.mac for card in cards]
    assert len({*macs, *taken}) == len(taken) + 3
    assert macs[2] == "aa:00:00:77:77:77"
    assert [card.uuid for card in cards] == ["u0", "u1", "u2"]
    assert not any(card.nicparams for card in cards)


@pytest.mark.parametrize(
    ("asked", "params"),
    [
        (
            {"mode": "routed", "link": "100", "ip": "198.51.100.7"},
            {"mode": "routed", "link": "100"},
        ),
        ({"bridge": "br1"}, {"link": "br1"}),
        ({"mode": "auto", "link": "default"}, {}),
        ({"vlan": "7"}, {"vlan": ".7"}),
        ({"vlan": ".7:8:9"}, {"vlan": ".7:8:9"}),
        ({"vlan": ":8"}, {"vlan": ":8"}),
    ],
)
def test_a_card_has_of_its_own_what_was_said(asked: dict[str, Any], params: dict[str, Any]) -> None:
    [card] = made(asked)

    assert card.nicparams == params


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"mac": "aa:bb"}, "Invalid MAC address"),
        ({"mode": "routed"}, "requires an ip address"),
        ({"ip": "auto"}, "name checked"),
        ({"ip": "pool"}, "name that"),
        ({"ip": "999.1.1.1"}, "Invalid IP address"),
        ({"vlan": "x"}, "VLAN parameter is invalid"),
        ({"network": "nosuch"}, "not known"),
        ({"network": "n", "link": "br1"}, "no others"),
        ({"colour": "red"}, "no parameter 'colour'"),
    ],
)
def test_what_makes_no_sense_is_said(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.BadInput, match=words):
        made(asked)


def test_one_address_is_not_given_twice() -> None:
    with pytest.raises(errors.BadInput, match="already in use"):
        made({"mac": "aa:00:00:00:77:77"}, {"mac": "aa:00:00:00:77:77"})


def test_the_instances_own_address_is_its_cards_if_asked_for() -> None:
    [card] = made({"ip": "auto"}, own_ip="198.51.100.9")

    assert card.ip == "198.51.100.9"


def test_there_are_no_more_cards_than_a_machine_can_have() -> None:
    with pytest.raises(errors.BadInput, match="at most 8"):
        made(*[{}] * 9)
