"""Where VNC or SPICE listens: an address, or an interface's, which differs from node to node."""

import errno
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path
from typing import Final

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors

_SIOCGIFADDR: Final = 0x8915
_NAME: Final = 16


def of(hvparams: hypervisors.HvParams) -> str:
    """Return the IP address, or the directory, that an instance's display listens at.

    Empty if it has no display that does. Raises BadInput if the parameters name no such thing.
    """
    bind = hvparams.vnc_bind_address or hvparams.spice_bind
    if not bind or (hvparams.vnc_bind_address and bind.startswith("/")):
        return bind
    version = 0 if hvparams.vnc_bind_address else hvparams.spice_ip_version
    try:
        found = ipaddress.ip_address(bind)
    except ValueError:
        return _interface(bind, version)
    if version and found.version != version:
        raise errors.BadInput(f"spice_bind {bind} is not of IP version {version}")
    return str(found)


def _interface(name: str, version: int) -> str:
    for asked, look in ((4, _ipv4), (6, _ipv6)):
        if version in {0, asked}:
            address = look(name)
            if address:
                return address
    which = f"IPv{version} " if version else ""
    raise errors.BadInput(f"{name} is neither an address nor an interface with an {which}address")


def _ipv4(name: str) -> str:
    encoded = name.encode()
    if len(encoded) >= _NAME:
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", encoded))
        except OSError as error:
            if error.errno in {errno.ENODEV, errno.EADDRNOTAVAIL}:
                return ""
            raise
    return socket.inet_ntoa(answer[20:24])


def _ipv6(name: str) -> str:
    try:
        lines = Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    for line in lines:
        number, _, _, scope, _, interface = line.split()
        if interface == name and scope == "00":
            return str(ipaddress.IPv6Address(int(number, 16)))
    return ""
