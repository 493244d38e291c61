"""Cards that come, change and go take the addresses of networks, and give them back."""

import itertools
from typing import Any

import msgspec
import pytest

from lab import clusters
from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.ops.instance import changednics, modifications
from pyganeti.model.config import addresses
from pyganeti.model.config.instance import Instance, Nic
from pyganeti.model.config.network import Network
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.config.table import Table

NET = clusters.uuid(5, 0)
OTHER = clusters.uuid(5, 1)


@pytest.fixture
def snapshot() -> Snapshot:
    """Return a cluster with two networks, connected, and an instance with a card in the first."""
    small = clusters.small(nodes=1, instances=1)
    networks = [
        Network(
            name=name,
            network=f"10.0.{number}.0/29",
            gateway=f"10.0.{number}.1",
            reservations="00100000" if not number else "00000000",
            ext_reservations="11000001",
            uuid=uuid,
            mac_prefix=prefix,
        )
        for number, (name, uuid, prefix) in enumerate(
            [("net0", NET, None), ("net1", OTHER, "bb:11:22")]
        )
    ]
    [group] = small.groups.values()
    connected = {
        network.uuid: {"mode": "bridged", "link": f"br{number}", "vlan": ""}
        for number, network in enumerate(networks)
    }
    [instance] = small.instances.values()
    nic = Nic(
        mac="aa:00:00:00:00:01", ip="10.0.0.2", network=NET, nicparams=connected[NET], uuid="u0"
    )
    instance = msgspec.structs.replace(instance, nics=(nic,))
    return msgspec.structs.replace(
        small,
        networks=Table({network.uuid: network for network in networks}),
        groups=Table({group.uuid: msgspec.structs.replace(group, networks=connected)}),
        instances=Table({instance.uuid: instance}),
    )


def owner(snapshot: Snapshot) -> Instance:
    [instance] = snapshot.instances.values()
    return instance


def planned(snapshot: Snapshot, *asked: list[Any], conflicts: bool = True) -> changednics.Plan:
    numbers = itertools.count(1)
    [group] = snapshot.groups.values()
    return changednics.plan(
        draft.Draft(snapshot, 0.0),
        group,
        owner(snapshot),
        modifications.parse("NIC", asked),
        new_uuid=lambda: f"u{next(numbers)}",
        conflicts=conflicts,
    )


def settled(snapshot: Snapshot, plan: changednics.Plan) -> Snapshot:
    changed = draft.Draft(snapshot, 1.0)
    nics = changednics.settle(changed, plan)
    changed.put(msgspec.structs.replace(owner(snapshot), nics=nics))
    return changed.finished()


def taken(snapshot: Snapshot, name: str) -> list[str]:
    network = snapshot.network(name)
    first = network.network.rsplit(".", 1)[0]
    return [
        f"{first}.{last}" for last in range(2, 7) if addresses.is_taken(network, f"{first}.{last}")
    ]


def test_a_card_takes_a_free_address_of_its_network(snapshot: Snapshot) -> None:
    plan = planned(snapshot, ["add", -1, {"network": "net0", "ip": "pool"}])
    after = settled(snapshot, plan)

    card = owner(after).nics[1]
    assert (card.ip, card.network, card.nicparams["link"]) == ("10.0.0.3", NET, "br0")
    assert taken(after, "net0") == ["10.0.0.2", "10.0.0.3"]
    [step] = plan.steps
    assert step.words == [
        ("nic.1", f"add:mac={card.mac},ip=10.0.0.3,mode=bridged,link=br0,network=net0")
    ]
    assert plan.bridges(lambda nic: nic.nicparams) == ["br0"]


def test_a_card_that_goes_gives_its_address_back(snapshot: Snapshot) -> None:
    after = settled(snapshot, planned(snapshot, ["remove", 0, {}]))

    assert owner(after).nics == ()
    assert taken(after, "net0") == []


def test_an_address_goes_from_one_card_to_another_at_once(snapshot: Snapshot) -> None:
    plan = planned(snapshot, ["remove", 0, {}], ["add", -1, {"network": "net0", "ip": "10.0.0.2"}])
    after = settled(snapshot, plan)

    assert [nic.ip for nic in owner(after).nics] == ["10.0.0.2"]
    assert taken(after, "net0") == ["10.0.0.2"]


def test_a_card_moves_to_another_network_with_what_that_one_has(snapshot: Snapshot) -> None:
    after = settled(snapshot, planned(snapshot, [0, {"network": "net1", "ip": "pool"}]))

    [card] = owner(after).nics
    assert (card.uuid, card.ip, card.network) == ("u0", "10.0.1.2", OTHER)
    assert card.nicparams["link"] == "br1"
    assert card.mac.startswith("bb:11:22:")
    assert (taken(after, "net0"), taken(after, "net1")) == ([], ["10.0.1.2"])


def test_a_card_leaves_its_network(snapshot: Snapshot) -> None:
    plan = planned(snapshot, [0, {"network": "none", "ip": "none", "link": "br9"}])
    after = settled(snapshot, plan)

    [card] = owner(after).nics
    assert (card.network, card.ip, card.nicparams["link"]) == (None, None, "br9")
    assert card.mac == "aa:00:00:00:00:01"
    assert taken(after, "net0") == []
    assert plan.steps[0].words == [
        ("nic.ip/0", None),
        ("nic.network/0", None),
        ("nic.link/0", "br9"),
    ]


def test_what_is_not_asked_for_stays(snapshot: Snapshot) -> None:
    after = settled(snapshot, planned(snapshot, [0, {"name": "front"}]))

    [before], [card] = owner(snapshot).nics, owner(after).nics
    assert card == msgspec.structs.replace(before, name="front")
    assert taken(after, "net0") == ["10.0.0.2"]


def test_an_address_that_somebody_took_meanwhile_is_refused(snapshot: Snapshot) -> None:
    plan = planned(snapshot, ["add", -1, {"network": "net0", "ip": "10.0.0.4"}])
    meanwhile = draft.Draft(snapshot, 1.0)
    meanwhile.put(addresses.reserve(snapshot.network("net0"), "10.0.0.4"))

    with pytest.raises(errors.BadInput, match="in use"):
        settled(meanwhile.finished(), plan)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ([0, {"link": "br1"}], "connected to a network"),
        ([0, {"network": "net1", "link": "br1"}], "no others"),
        ([0, {"mac": "auto"}], "generate"),
        ([0, {"mac": None}], "Cannot unset"),
        ([0, {"network": "none", "mode": "routed", "ip": "none"}], "requires an ip"),
        ([0, {"ip": "10.0.0.300"}], "Invalid IP address"),
        ([0, {"network": "nosuch"}], "not known"),
        (["add", -1, {"ip": "10.0.1.3"}], "belongs to network net1"),
        (["add", -1, {"network": "net0", "ip": "10.0.0.2"}], "in use"),
        (["attach", -1, {}], "not supported for NICs"),
        (["detach", 0, {}], "not supported for NICs"),
    ],
)
def test_what_cannot_be_is_refused(snapshot: Snapshot, asked: list[Any], words: str) -> None:
    with pytest.raises(errors.BadInput, match=words):
        planned(snapshot, asked)


def test_an_address_of_a_network_may_be_had_outside_it_if_that_is_meant(
    snapshot: Snapshot,
) -> None:
    [_, card] = planned(snapshot, ["add", -1, {"ip": "10.0.1.3"}], conflicts=False).nics

    assert (card.ip, card.network) == ("10.0.1.3", None)


def test_an_instance_has_no_more_cards_than_it_can(snapshot: Snapshot) -> None:
    with pytest.raises(errors.BadInput, match="at most 8"):
        planned(snapshot, *(["add", -1, {}] for _ in range(8)))
