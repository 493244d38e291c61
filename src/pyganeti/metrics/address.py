"""Where the page of figures is served: ``127.0.0.1:1831``, ``[::1]:1831``, ``:1831``, ``off``."""

import re
from dataclasses import dataclass
from typing import Final

from pyganeti.base import errors

OFF: Final = "off"
LOOPBACK: Final = "127.0.0.1"

NODED_PORT: Final = 1831
MASTERD_PORT: Final = 1832
WATCHER_PORT: Final = 1833

_SAID: Final = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.%\w]+)\]|(?P<host>[^:\[\]\s]*)):(?P<port>\d+)")
_PORTS: Final = 65536


@dataclass(frozen=True, slots=True)
class Address:
    """A host's name or address, and a port; 0 has the kernel choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse(said: str) -> Address | None:
    """Return what somebody typed; None: nothing is to be served. Raises BadInput.

    Without a host it is this machine alone.
    """
    if said == OFF:
        return None
    found = _SAID.fullmatch(said)
    if found is None or int(found["port"]) >= _PORTS:
        raise errors.BadInput(f"{said!r} is not an address such as 127.0.0.1:1831, nor off")
    return Address(found["six"] or found["host"] or LOOPBACK, int(found["port"]))


def default(port: int) -> Address:
    """Return where a daemon serves its figures unless it is told: on this machine alone."""
    return Address(LOOPBACK, port)
