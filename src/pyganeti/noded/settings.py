"""What one run of the daemon is to do, and where; made from flags, environment and defaults."""

import fcntl
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import errors, log, paths, ssconf
from pyganeti.metrics import address as addresses

PROGRAM: Final = "ganeti-noded"
MAX_CLIENTS: Final = 20

_SIOCGIFADDR: Final = 0x8915
_NAME_LIMIT: Final = 15
_IPV6: Final = "10"
"""How ssconf_primary_ip_family says it: the number that Linux has for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where and how the daemon serves."""

    layout: paths.Paths
    bind: str
    port: int
    certificate: Path | None
    """The cluster's certificate; None: no TLS, and whoever can connect may do everything."""

    key: Path | None
    mlock: bool = True
    max_clients: int = MAX_CLIENTS
    metrics: addresses.Address | None = None
    """Where figures are served; None: nowhere."""

    foreground: bool = False
    debug: bool = False
    syslog: log.Syslog = "no"

    @property
    def pid_file(self) -> Path:
        """The file that keeps a second daemon away."""
        return self.layout.pid_file(PROGRAM)

    @property
    def log_file(self) -> Path:
        """The daemon's log."""
        return self.layout.log_file(PROGRAM)


def default_address(layout: paths.Paths) -> str:
    """Return the address that means all of this node's, in the cluster's family."""
    return "::" if _is_ipv6(layout) else "0.0.0.0"  # noqa: S104 - as asked for


def address_of(interface: str, layout: paths.Paths) -> str:
    """Return an interface's first address in the cluster's family; BadInput if it has none."""
    found = _ipv6_of(interface) if _is_ipv6(layout) else _ipv4_of(interface)
    if found is None:
        raise errors.BadInput(f"the interface {interface} has no address to bind to")
    return found


def _is_ipv6(layout: paths.Paths) -> bool:
    return (ssconf.read(layout, "primary_ip_family") or "").strip() == _IPV6


def _ipv4_of(interface: str) -> str | None:
    if not interface.isascii() or len(interface) > _NAME_LIMIT:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", interface.encode()))
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])


def _ipv6_of(interface: str) -> str | None:
    """Take a global address before a local one: only that can be bound to without a zone."""
    found = []
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if words[-1] == interface and words[3] in {"00", "10"}:
            found.append((words[3], socket.inet_ntop(socket.AF_INET6, bytes.fromhex(words[0]))))
    return min(found)[1] if found else None
