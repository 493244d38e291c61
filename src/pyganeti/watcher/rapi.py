"""Whether the REST interface answers: one question, which needs no password.

An answer that refuses to say more without one is an answer, too. The certificate is the cluster's
own, so it is not checked: this looks after a daemon, and tells it no secret. A daemon that was
started without TLS is asked without.
"""

import contextlib
import http.client
import socket
import ssl
from typing import Final

from pyganeti.base import log

VERSION: Final = 2
"""What every such daemon of Ganeti's answers."""

_PATIENCE: Final = 20.0
_PATH: Final = "/version"
_PORT: Final = 5080
_LIMIT: Final = 1024
_LOG: Final = log.get(__name__)


def port() -> int:
    """Return the port: the services database's, else the usual one."""
    with contextlib.suppress(OSError):
        return socket.getservbyname("ganeti-rapi", "tcp")
    return _PORT


def answers(address: str, number: int, patience: float = _PATIENCE) -> bool:
    """Tell whether it answers as it should; why not is logged. Blocks for some seconds at most."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        try:
            return _asked(
                http.client.HTTPSConnection(address, number, timeout=patience, context=context)
            )
        except ssl.SSLError:
            return _asked(http.client.HTTPConnection(address, number, timeout=patience))
    except (OSError, http.client.HTTPException) as error:
        _LOG.warning("the REST interface does not answer", address=address, why=repr(error))
        return False


def _asked(connection: http.client.HTTPConnection) -> bool:
    with contextlib.closing(connection):
        connection.request("GET", _PATH)
        answer = connection.getresponse()
        said = answer.read(_LIMIT)
        if answer.status == http.client.UNAUTHORIZED:
            return True
        if answer.status == http.client.OK and said.strip() == str(VERSION).encode():
            return True
        _LOG.warning("the REST interface answers nonsense", status=answer.status, said=repr(said))
        return False
