"""From what is asked for to network cards in the configuration: addresses, modes, networks.

Called inside an edit: a free MAC or IP address is one that nobody takes in the same moment.
"""

import ipaddress
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.model.config import addresses, filling
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Nic
from pyganeti.model.config.network import Network

MOST: Final = 8
_AUTOMATIC: Final = frozenset({"auto", "generate"})
_KNOWN: Final = frozenset({"mac", "ip", "mode", "link", "vlan", "network", "name", "bridge"})
_PARAMS: Final = ("mode", "link", "vlan")
_MAC: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_NONE: Final = "none"
_UNSAID: Final = (None, "", "auto", "default")
"""Values of parameters that stand for: as the cluster has it."""

_VLAN: Final = re.compile(r"(\.?\d+)?(:\d+)*")


def make(
    changed: draft.Draft,
    group: NodeGroup,
    asked: Sequence[Mapping[str, Any]],
    *,
    new_uuid: Callable[[], str],
    own_ip: str | None = None,
    conflicts: bool = True,
    before: Sequence[Nic] = (),
) -> list[Nic]:
    """Return the cards that are asked for; their networks' addresses are taken in the draft.

    ``own_ip`` is the instance's, for ``ip=auto``. ``before`` are cards of the same edit that are
    not in the draft yet. Raises BadInput.
    """
    if len(before) + len(asked) > MOST:
        raise errors.BadInput(f"an instance has at most {MOST} network cards")
    made: list[Nic] = []
    for index, one in enumerate(asked):
        made.append(
            _card(
                changed, group, one, index, [*before, *made],
                uuid=new_uuid(), own_ip=own_ip, conflicts=conflicts,
            )
        )  # fmt: skip
    return made


def check(asked: Mapping[str, Any], index: int) -> None:
    """Raise BadInput for what no card can be asked for."""
    strange = sorted(set(asked) - _KNOWN)
    if strange:
        raise errors.BadInput(f"nic/{index}: there is no parameter {strange[0]!r}")
    if _is_in_network(asked) and any(asked.get(key) for key in ("mode", "link", "vlan", "bridge")):
        raise errors.BadInput(
            f"nic/{index}: a card in a network has that one's mode and link, and no others"
        )


def _card(
    changed: draft.Draft,
    group: NodeGroup,
    asked: Mapping[str, Any],
    index: int,
    others: Sequence[Nic],
    *,
    uuid: str,
    own_ip: str | None,
    conflicts: bool,
) -> Nic:
    check(asked, index)
    network = _network(changed, asked)
    given = _given(asked)
    if network is not None:
        if network.uuid not in group.networks:
            raise errors.BadInput(
                f"network {network.name} is not connected to node group {group.name}"
            )
        given = dict(group.networks[network.uuid])
    filled = filling.nic(changed.cluster, given)
    ip = _ip(changed, group, asked, network, own_ip, conflicts=conflicts)
    if filled["mode"] == "routed" and not ip:
        raise errors.BadInput(f"nic/{index}: Routed nic mode requires an ip address")
    return Nic(
        mac=_mac(changed, asked, network, others, index),
        ip=ip,
        nicparams={key: value for key, value in given.items() if key in _PARAMS},
        network=network.uuid if network else None,
        name=asked.get("name") or None,
        uuid=uuid,
    )


def _given(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that the card is to have of its own."""
    given = {key: asked[key] for key in _PARAMS if asked.get(key) not in _UNSAID}
    if given.get("vlan"):
        given["vlan"] = _vlan(str(given["vlan"]))
    if asked.get("bridge") and "link" not in given:
        given["link"] = asked["bridge"]
    return given


def _vlan(said: str) -> str:
    """Return VLANs as they are written: ``.10`` untagged, ``:20:30`` tagged. Raises BadInput."""
    if not _VLAN.fullmatch(said):
        raise errors.BadInput(f"Specified VLAN parameter is invalid : {said}")
    return f".{said}" if said[0].isdigit() else said


def _network(changed: draft.Draft, asked: Mapping[str, Any]) -> Network | None:
    return changed.snapshot.network(asked["network"]) if _is_in_network(asked) else None


def _is_in_network(asked: Mapping[str, Any]) -> bool:
    wanted = asked.get("network")
    return bool(wanted) and str(wanted).lower() != _NONE


def _mac(
    changed: draft.Draft,
    asked: Mapping[str, Any],
    network: Network | None,
    others: Sequence[Nic],
    index: int,
) -> str:
    wanted = str(asked.get("mac") or "auto").lower()
    taken = {nic.mac for nic in others}
    if wanted in _AUTOMATIC:
        while (found := changed.free_mac(secrets.randbelow, network)) in taken:
            pass
        return found
    if not _MAC.fullmatch(wanted):
        raise errors.BadInput(f"nic/{index}: Invalid MAC address '{wanted}'")
    if wanted in taken:
        raise errors.BadInput(
            f"nic/{index}: MAC address {wanted} already in use in cluster", "resource_not_unique"
        )
    return wanted


def _ip(
    changed: draft.Draft,
    group: NodeGroup,
    asked: Mapping[str, Any],
    network: Network | None,
    own_ip: str | None,
    *,
    conflicts: bool,
) -> str | None:
    wanted = asked.get("ip")
    if not wanted or str(wanted).lower() == _NONE:
        return None
    if wanted == "auto":
        if own_ip is None:
            raise errors.BadInput("ip=auto needs the instance's name checked (--name-check)")
        wanted = own_ip
    elif wanted == "pool":
        if network is None:
            raise errors.BadInput("ip=pool takes an address of the card's network: name that")
        wanted = addresses.free(network)
    try:
        ip = str(ipaddress.ip_address(wanted))
    except ValueError as error:
        raise errors.BadInput(f"Invalid IP address '{wanted}'") from error
    if network is not None:
        changed.put(addresses.reserve(network, ip))
    elif conflicts:
        for other in (changed.snapshot.networks[uuid] for uuid in group.networks):
            if addresses.holds(other, ip):
                raise errors.BadInput(
                    f"the address {ip} belongs to network {other.name}", "resource_not_unique"
                )
    return ip
