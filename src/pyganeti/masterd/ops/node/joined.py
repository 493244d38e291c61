"""What a machine has to be to become a node: checked before anything is changed.

Its node daemon runs already and takes the master's certificate: `gnt-node add` has seen to that.
"""

import asyncio
import ipaddress
from typing import Any, Final

from pyganeti.base import errors, resolving
from pyganeti.masterd.ops import context as contexts
from pyganeti.model.config import codec, defaults, filling
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import node as nodes
from pyganeti.wire import noderpc

_AF_INET6: Final = 10
_PATIENCE: Final = 30.0


async def resolve(snapshot: Snapshot, op: nodes.NodeAdd) -> resolving.Host:
    """Return the node's full name and primary address; raises BadInput if there is none."""
    ipv6 = snapshot.cluster.primary_ip_family == _AF_INET6
    found = await asyncio.to_thread(resolving.resolve, op.node_name, ipv6=ipv6)
    if op.primary_ip is not None:
        _check_address("primary IP", op.primary_ip, ipv6=ipv6)
        name = op.node_name.rstrip(".").lower() if found is None else found.name
        return resolving.Host(name, op.primary_ip)
    if found is None:
        raise errors.BadInput(
            f"the name {op.node_name} does not resolve here: enter it into the DNS or /etc/hosts",
            "resolver_error",
        )
    if ipaddress.ip_address(found.address).is_loopback:
        raise errors.BadInput(
            f"{found.name} resolves to {found.address} here, which no other node can reach: mend"
            " the DNS or /etc/hosts",
            "resolver_error",
        )
    return found


def secondary(snapshot: Snapshot, op: nodes.NodeAdd, primary: str) -> str:
    """Return the node's secondary address; raises BadInput if the cluster cannot have it so."""
    if op.secondary_ip is None and snapshot.cluster.primary_ip_family == _AF_INET6:
        raise errors.BadInput(
            "When using a IPv6 primary address, a valid IPv4 address must be given as secondary"
        )
    given = op.secondary_ip or primary
    _check_address("Secondary IP", given, ipv6=False)
    master = snapshot.master
    master_is_single = master.secondary_ip == master.primary_ip
    if master_is_single and given != primary:
        raise errors.BadInput("The master has no secondary ip but the new node has one")
    if not master_is_single and given == primary:
        raise errors.BadInput("The master has a secondary ip but the new node doesn't have one")
    return given


def check_addresses(snapshot: Snapshot, name: str, primary: str, secondary: str) -> None:
    """Raise BadInput if another node has one of the addresses, or the cluster itself."""
    for other in snapshot.nodes.values():
        if other.name == name:
            continue
        if {other.primary_ip, other.secondary_ip} & {primary, secondary}:
            raise errors.BadInput(
                f"New node ip address(es) conflict with existing node {other.name}",
                "resource_not_unique",
            )
    if snapshot.cluster.master_ip in {primary, secondary}:
        raise errors.BadInput(
            f"{snapshot.cluster.master_ip} is the cluster's own address", "resource_not_unique"
        )


def params(op: nodes.NodeAdd) -> dict[str, Any]:
    """Return the node's own parameters; raises BadInput for one that it cannot have."""
    given = op.ndparams or {}
    for name, value in given.items():
        if name not in defaults.NODE:
            raise errors.BadInput(f"Unknown parameter '{name}'")
        if name in defaults.NODE_GLOBALS:
            raise errors.BadInput(
                f"The following node parameters are global and cannot be customized at node level,"
                f" please modify them at cluster or group level: {name}"
            )
        known = defaults.NODE[name]
        if not isinstance(value, type(known)) or isinstance(value, bool) != isinstance(known, bool):
            kinds = isinstance(known, float) and isinstance(value, int)
            if not kinds or isinstance(value, bool):
                raise errors.BadInput(f"'{name}' ({value!r}) is not a valid {type(known).__name__}")
    return dict(given)


async def check_daemon(context: contexts.Context, node: Node) -> None:
    """Raise BadInput unless the node's daemon answers us, and speaks as we do."""
    try:
        version = await context.nodes.call(node, "version", timeout=_PATIENCE)
    except errors.Failure as error:
        raise errors.BadInput(
            f"the node daemon there does not answer the master: {error}; gnt-node add hands it what"
            " it needs, over ssh or with a token of ganeti-node-join",
            "environment_error",
        ) from error
    if version != noderpc.PROTOCOL:
        raise errors.BadInput(
            f"Version mismatch master version {noderpc.PROTOCOL}, node version {version}",
            "environment_error",
        )


async def check_volumes(context: contexts.Context, node: Node) -> None:
    """Raise BadInput if the cluster's volume group cannot be used there."""
    snapshot = context.snapshot
    group = snapshot.cluster.volume_group_name
    if not group:
        return
    filled = filling.node(snapshot.cluster, snapshot.groups[node.group], node)
    what: dict[str, Any] = {"pvlist": [group]}
    hvparams = codec.to_wire(snapshot.cluster)["hvparams"]
    found = await context.nodes.call(
        node, "node_verify_light", what, snapshot.cluster.cluster_name, hvparams
    )
    volumes = found.get("pvlist")
    if volumes is None:
        raise errors.BadInput(
            "Checks on node PVs failed: Can't get PV list from node", "environment_error"
        )
    wrong = [
        f"Invalid character ':' in PV '{volume['name']}' of VG '{volume['vg_name']}'"
        for volume in volumes
        if ":" in volume["name"]
    ]
    if filled["exclusive_storage"] and not volumes:
        wrong.append(f"Volume group {group} has no physical volumes")
    if wrong:
        raise errors.BadInput(f"Checks on node PVs failed: {'; '.join(wrong)}", "environment_error")


async def check_secondary(context: contexts.Context, node: Node) -> None:
    """Raise Refused if the node does not have its secondary address."""
    if node.secondary_ip == node.primary_ip:
        return
    if not await context.nodes.call(node, "node_has_ip_address", node.secondary_ip):
        raise errors.Refused(
            f"Node claims it doesn't have the secondary ip you gave ({node.secondary_ip}),"
            " please fix and re-run this command"
        )


def _check_address(what: str, given: str, *, ipv6: bool) -> None:
    try:
        version = ipaddress.ip_address(given).version
    except ValueError as error:
        raise errors.BadInput(f"{what} ({given}) is no IP address") from error
    if version != (6 if ipv6 else 4):
        raise errors.BadInput(f"{what} ({given}) needs to be a valid IPv{6 if ipv6 else 4} address")
