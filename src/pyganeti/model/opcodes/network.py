"""Opcodes on networks."""

from typing import Literal

from pyganeti.model.opcodes import base


class NetworkAdd(base.OnNetwork, tag="OP_NETWORK_ADD", frozen=True, kw_only=True):
    """Add a network."""

    network: str
    gateway: str | None = None
    network6: str | None = None
    gateway6: str | None = None
    mac_prefix: base.Text | None = None
    add_reserved_ips: list[str] | None = None
    conflicts_check: bool = True
    tags: list[base.Text] = []


class NetworkConnect(base.OnNetwork, tag="OP_NETWORK_CONNECT", frozen=True, kw_only=True):
    """Connect a network to a node group."""

    group_name: base.Text
    network_mode: Literal["bridged", "openvswitch", "pool", "routed"]
    network_link: base.Text
    network_vlan: str = ""
    conflicts_check: bool = True


class NetworkDisconnect(base.OnNetwork, tag="OP_NETWORK_DISCONNECT", frozen=True, kw_only=True):
    """Disconnect a network from a node group."""

    group_name: base.Text


class NetworkRemove(base.OnNetwork, tag="OP_NETWORK_REMOVE", frozen=True, kw_only=True):
    """Remove a network."""

    force: bool = False


class NetworkSetParams(base.OnNetwork, tag="OP_NETWORK_SET_PARAMS", frozen=True, kw_only=True):
    """Change a network."""

    gateway: str | None = None
    network6: str | None = None
    gateway6: str | None = None
    mac_prefix: base.Text | None = None
    add_reserved_ips: list[str] | None = None
    remove_reserved_ips: list[str] | None = None
