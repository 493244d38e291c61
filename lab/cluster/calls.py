"""The node RPC as a master uses it: over mutual TLS, from a machine in the nodes' network.

A connection is made in the network of a namespace, whatever thread asks. Answers are payloads; what
a node says no to is `errors.Failure` with its words, as for the cluster's own client.
"""

import contextlib
import http.client
import ssl
from collections.abc import Iterator
from typing import Any, Final

from lab import nodedaemons
from lab.cluster import founding, namespaces
from pyganeti.base import errors
from pyganeti.wire import epochs, noderpc

PATIENCE: Final = 30.0


class Outdated(errors.Refused):
    """The node follows a master that has taken an epoch; ``epoch`` is that, as headers have it."""

    def __init__(self, message: str, epoch: str) -> None:
        super().__init__(message)
        self.epoch = epoch


class Caller:
    """Calls nodes from one place, showing one certificate; from any thread."""

    def __init__(
        self,
        place: namespaces.Namespace | None,
        shown: bytes | None,
        authority: bytes | None = None,
    ) -> None:
        """Make one; without a place it calls from where the program is."""
        self._place = place
        trusted = authority or nodedaemons.cluster(founding.NAME).server.pem
        self._context = nodedaemons.context(shown, trusted)

    def call(
        self,
        address: str,
        name: str,
        *arguments: object,
        timeout: float = PATIENCE,
        epoch: str | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        """Have a node carry out a call, on a connection of its own; return what it answers.

        ``epoch`` is the master's as which it is called, as a header has it; None: as nobody's.
        """
        with self.connection(address, timeout=timeout) as kept:
            return ask(kept, name, *arguments, epoch=epoch)

    @contextlib.contextmanager
    def connection(
        self, address: str, *, timeout: float = PATIENCE
    ) -> Iterator[http.client.HTTPConnection]:
        """Connect; raises Denied where TLS comes to nothing, Unavailable where nobody answers."""
        made = http.client.HTTPSConnection(
            address, noderpc.PORT, timeout=timeout, context=self._context
        )
        with contextlib.closing(made):
            try:
                with self._place.entered() if self._place else contextlib.nullcontext():
                    made.connect()
            except ssl.SSLError as error:
                raise errors.Denied(f"no TLS with {address}: {error}") from error
            except OSError as error:
                raise errors.Unavailable(f"{address} cannot be reached: {error}") from error
            yield made


def ask(
    connection: http.client.HTTPConnection,
    name: str,
    *arguments: object,
    epoch: str | None = None,
) -> Any:  # noqa: ANN401 - JSON
    """Make one call on a connection, which is there for the next one then."""
    headers = {} if epoch is None else {epochs.HEADER: epoch}
    try:
        connection.request("POST", f"/{name}", noderpc.encode_arguments(arguments), headers)
        answer = connection.getresponse()
        body = answer.read()
    except ssl.SSLError as error:  # TLS 1.3: what a server thinks of a certificate comes late
        raise errors.Denied(f"{connection.host} ends TLS: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise errors.Unavailable(f"{connection.host} does not answer {name}: {error!r}") from error
    if answer.status in {401, 403}:
        raise errors.Denied(f"{connection.host} answers {name} with HTTP {answer.status}")
    if answer.status != http.HTTPStatus.OK:
        raise errors.BadInput(
            f"{connection.host} answers {name} with HTTP {answer.status}: {body[:500]!r}"
        )
    try:
        return noderpc.decode_answer(body)
    except errors.Refused as error:
        if later := answer.headers.get(epochs.HEADER):
            raise Outdated(str(error), later) from error
        raise
