"""The services database: which port a daemon has where the administrator says so."""

import socket
from typing import Final

_USUAL: Final = {"ganeti-noded": 1811}


def port(daemon: str) -> int:
    """Return a daemon's TCP port: the database's, else the usual one."""
    try:
        return socket.getservbyname(daemon, "tcp")
    except OSError:
        return _USUAL[daemon]
