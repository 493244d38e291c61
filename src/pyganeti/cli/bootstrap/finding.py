"""What a machine can say by itself: its name and addresses, and which interface has them.

Whatever is found can be given instead; what cannot be found is refused with a way out.
"""

import ipaddress
import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.base import errors, paths, resolving

_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface and its addresses."""

    name: str
    addresses: tuple[str, ...]


def node_name(layout: paths.Paths) -> str:
    """Return this node's name; raises BadInput if it is none that others could use."""
    name = layout.hostname
    if not name or name.startswith("localhost"):
        raise errors.BadInput(
            f"this machine calls itself {name!r}; give it a name of its own (hostnamectl)",
            "resolver_error",
        )
    return name


def interfaces() -> list[Interface]:
    """Return the machine's interfaces; raises Unavailable if iproute2 cannot tell."""
    try:
        told = subprocess.run(
            ["ip", "-json", "address", "show"],  # noqa: S607 - where the system has it
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
            env={"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")},
        )
        links: list[dict[str, Any]] = json.loads(told.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise errors.Unavailable(f"the machine's addresses cannot be found: {error}") from error
    return [
        Interface(
            str(link.get("ifname", "")),
            tuple(str(info["local"]) for info in link.get("addr_info", ()) if "local" in info),
        )
        for link in links
        if link
    ]


def primary_address(
    name: str, here: list[Interface], *, ipv6: bool = False, option: str = "--primary-ip"
) -> str:
    """Return the address by which others reach this node: its name's, if that is its own.

    A name that means the loopback, as on many a fresh machine, is passed over for the machine's
    only other address. Raises BadInput if that leaves none, or several; ``option`` says it then.
    """
    own = {address for interface in here for address in interface.addresses}
    resolved = resolving.resolve(name, ipv6=ipv6)
    if resolved is not None and resolved.address in own and not is_loopback(resolved.address):
        return resolved.address
    usable = [
        address
        for interface in here
        for address in interface.addresses
        if not is_loopback(address) and _is_of(address, ipv6=ipv6) and not _is_local(address)
    ]
    if len(usable) == 1:
        return usable[0]
    what = "has no address of its own" if not usable else f"has several: {', '.join(usable)}"
    raise errors.BadInput(
        f"{name} does not resolve to an address of this machine, which {what};"
        f" say which one it is with {option}",
        "environment_error",
    )


def interface_of(address: str, here: list[Interface]) -> str:
    """Return the interface that has an address; raises BadInput if none has."""
    for interface in here:
        if address in interface.addresses:
            return interface.name
    raise errors.BadInput(f"{address} is not an address of this machine", "environment_error")


def cluster_address(name: str, *, ipv6: bool = False) -> str:
    """Return a cluster's address, by its name; raises BadInput if it does not resolve."""
    found = resolving.resolve(name, ipv6=ipv6)
    if found is None:
        raise errors.BadInput(
            f"the cluster's name {name} does not resolve: enter it into the DNS or /etc/hosts with"
            " an address of its own, or give the address with --master-ip",
            "resolver_error",
        )
    return found.address


def is_loopback(address: str) -> bool:
    """Tell whether an address means the machine itself, wherever it is said."""
    return ipaddress.ip_address(address).is_loopback


def _is_of(address: str, *, ipv6: bool) -> bool:
    return (ipaddress.ip_address(address).version == 6) is ipv6  # noqa: PLR2004 - IPv6


def _is_local(address: str) -> bool:
    return ipaddress.ip_address(address).is_link_local
