"""An instance's network cards as they are to be: planned first, then settled in the configuration.

It is planned in a draft that is thrown away, so that whoever asks hears what is wrong, and the
hooks hear what will be. What is settled are the very cards of the plan: an address that somebody
else took meanwhile is refused then.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.ops.instance import modifications, newnics
from pyganeti.masterd.ops.instance.modifications import Action, Change
from pyganeti.model.config import addresses, filling
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance, Nic

_KIND: Final = "NIC"
_PARAMS: Final = ("mode", "link", "vlan")
_AUTO: Final = "auto"
_GENERATE: Final = "generate"
_DEFAULT: Final = "default"

Words = list[tuple[str, Any]]
"""What changed, as the opcode's result has it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change: the card as it is then, or as it was if it goes; its place, and what to say."""

    action: Action
    place: int
    nic: Nic
    words: Words


@dataclass(frozen=True, slots=True)
class Plan:
    """The cards as they will be, and the way there."""

    before: tuple[Nic, ...]
    nics: tuple[Nic, ...]
    steps: Sequence[Step]

    def bridges(self, snapshot_nic: Callable[[Nic], Mapping[str, Any]]) -> list[str]:
        """Return the bridges that cards need which come or are changed."""
        found = [snapshot_nic(step.nic) for step in self.steps if step.action != "remove"]
        return sorted({params["link"] for params in found if params["mode"] == "bridged"})


def plan(
    changed: draft.Draft,
    group: NodeGroup,
    instance: Instance,
    changes: Sequence[Change],
    *,
    new_uuid: Callable[[], str],
    conflicts: bool,
) -> Plan:
    """Return what comes of changes, made in a draft that is to be thrown away. Raises BadInput."""
    nics = list(instance.nics)
    steps: list[Step] = []
    for change in changes:
        if change.action == "add":
            place = modifications.coming_to(_KIND, change, nics)
            [nic] = newnics.make(
                changed, group, [_asked(change.params)],
                new_uuid=new_uuid, conflicts=conflicts, before=nics,
            )  # fmt: skip
            nics.insert(place, nic)
            steps.append(Step("add", place, nic, [(f"nic.{place}", _added(changed, nic))]))
            continue
        if change.action not in {"modify", "remove"}:
            raise errors.BadInput(
                f"{change.action.capitalize()} operation is not supported for NICs"
            )
        place = modifications.place_of(_KIND, change, nics)
        old = nics[place]
        if change.action == "remove":
            _release(changed, old)
            del nics[place]
            steps.append(Step("remove", place, old, [(f"{_KIND}/{place}", "remove")]))
        else:
            others = nics[:place] + nics[place + 1 :]
            nics[place] = nic = _modified(changed, group, old, change.params, others, conflicts)
            words = _modifications(changed, old, nic, change.params, place)
            steps.append(Step("modify", place, nic, words))
    modifications.check_names(_KIND, nics)
    return Plan(instance.nics, tuple(nics), steps)


def settle(changed: draft.Draft, planned: Plan) -> tuple[Nic, ...]:
    """Take and give back the addresses of networks in a draft; return the cards.

    Raises BadInput if an address is not free any more.
    """
    before = {(nic.network, nic.ip) for nic in planned.before}
    after = {(nic.network, nic.ip) for nic in planned.nics}
    for nic in planned.before:
        if (nic.network, nic.ip) not in after:
            _release(changed, nic)
    for nic in planned.nics:
        if (nic.network, nic.ip) not in before and nic.network and nic.ip:
            changed.put(addresses.reserve(changed.snapshot.network(nic.network), nic.ip))
    return planned.nics


def _modified(
    changed: draft.Draft,
    group: NodeGroup,
    old: Nic,
    params: Mapping[str, Any],
    others: Sequence[Nic],
    conflicts: bool,  # noqa: FBT001 - ours alone
) -> Nic:
    newnics.check(params, 0)
    network = _network(changed, params, old)
    if network and network == old.network and any(params.get(key) for key in _PARAMS):
        raise errors.BadInput(
            "Not allowed to change link or mode of a NIC that is connected to a network"
        )
    asked: dict[str, Any] = {
        "mac": _mac(changed, params, old, network),
        "ip": params.get("ip", old.ip) or modifications.NONE,
        "network": network,
        "name": modifications.name_of(params, old.name),
    }
    if not network:
        kept = {key: old.nicparams[key] for key in _PARAMS if key in old.nicparams}
        given = {key: params[key] for key in _PARAMS if params.get(key) is not None}
        if params.get("bridge"):
            given.setdefault("link", params["bridge"])
        asked |= {key: val for key, val in (kept | given).items() if val != _DEFAULT}
    _release(changed, old)
    is_same = asked["ip"] == (old.ip or modifications.NONE) and network == old.network
    [nic] = newnics.make(
        changed, group, [asked],
        new_uuid=lambda: old.uuid, conflicts=conflicts and not is_same, before=others,
    )  # fmt: skip
    return nic


def _network(changed: draft.Draft, params: Mapping[str, Any], old: Nic) -> str | None:
    """Return the uuid of the network that a card is in then."""
    if "network" not in params:
        return old.network
    said = params["network"]
    if not said or str(said).lower() == modifications.NONE:
        return None
    return changed.snapshot.network(said).uuid


def _mac(changed: draft.Draft, params: Mapping[str, Any], old: Nic, network: str | None) -> str:
    if "mac" in params:
        said = params["mac"]
        if not said:
            raise errors.BadInput("Cannot unset the NIC MAC address")
        if said == _AUTO:
            raise errors.BadInput(
                "'auto' is not a valid MAC address when modifying an existing NIC:"
                " 'generate' draws a new one"
            )
        return str(said).lower()
    if _prefix(changed, network) != _prefix(changed, old.network):
        return _GENERATE
    return old.mac


def _prefix(changed: draft.Draft, network: str | None) -> str | None:
    found = changed.snapshot.networks.get(network or "")
    return found.mac_prefix if found else None


def _release(changed: draft.Draft, nic: Nic) -> None:
    network = changed.snapshot.networks.get(nic.network or "")
    if network is not None and nic.ip:
        changed.put(addresses.release(network, nic.ip))


def _asked(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked for, without what stands for the same as nothing."""
    found = {key: val for key, val in params.items() if val != _DEFAULT}
    found["name"] = modifications.name_of(params, None)
    return found


def _added(changed: draft.Draft, nic: Nic) -> str:
    filled = filling.nic(changed.cluster, nic.nicparams)
    return (
        f"add:mac={nic.mac},ip={nic.ip},mode={filled['mode']},link={filled['link']}"
        f",network={_network_name(changed, nic)}"
    )


def _modifications(
    changed: draft.Draft, old: Nic, nic: Nic, params: Mapping[str, Any], place: int
) -> Words:
    words: Words = []
    if nic.mac != old.mac or "mac" in params:
        words.append((f"nic.mac/{place}", nic.mac))
    words += [(f"nic.{key}/{place}", getattr(nic, key)) for key in ("ip", "name") if key in params]
    if nic.network != old.network:
        words.append((f"nic.network/{place}", _network_name(changed, nic)))
    was = filling.nic(changed.cluster, old.nicparams)
    filled = filling.nic(changed.cluster, nic.nicparams)
    words += [
        (f"nic.{key}/{place}", filled[key])
        for key in _PARAMS
        if key in params or filled[key] != was[key]
    ]
    return words


def _network_name(changed: draft.Draft, nic: Nic) -> str | None:
    network = changed.snapshot.networks.get(nic.network or "")
    return network.name if network else None
