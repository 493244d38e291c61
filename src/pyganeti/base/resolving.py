"""What a host's name means: its full name and its address, by the system's resolver."""

import socket
from typing import NamedTuple


class Host(NamedTuple):
    """A name in full, and the first of its addresses."""

    name: str
    address: str


def resolve(name: str, *, ipv6: bool = False) -> Host | None:
    """Return what a name means in a family of addresses, None if nothing. Blocks.

    The name comes back as the resolver has it first: ``node1`` as ``node1.example.com``.
    """
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    try:
        found = socket.getaddrinfo(
            name, None, family, socket.SOCK_STREAM, flags=socket.AI_CANONNAME
        )
    except (OSError, UnicodeError):
        return None
    if not found:
        return None
    _, _, _, full, (address, *_) = found[0]
    return Host((full or name).rstrip(".").lower(), str(address))
