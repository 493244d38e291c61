"""How an etcd is reached: its members' addresses, and what is shown to them. No I/O."""

import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import errors

_PORT: Final = 2379
_PORTS: Final = range(1, 65536)
_HOST: Final = re.compile(r"[A-Za-z0-9.\-_:]+\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One member: ``host`` is a name or an address, an IPv6 one without brackets."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        """Return it as it was given."""
        return f"{'https' if self.tls else 'http'}://{self.target}"

    @property
    def target(self) -> str:
        """Return where a connection goes to."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Members, of which any may answer; and files with certificates, for those with TLS.

    Without ``authority`` the system's are trusted. ``certificate`` and its ``key`` are what an
    etcd wants to see that knows its clients.
    """

    endpoints: tuple[Endpoint, ...]
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        """Raise BadInput if that is no way to reach anything."""
        if not self.endpoints:
            raise errors.BadInput("no etcd is named: it has at least one endpoint")
        if (self.certificate is None) != (self.key is None):
            raise errors.BadInput("a certificate for etcd goes with its key, and neither alone")
        shown = self.authority or self.certificate
        if shown is not None and not all(endpoint.tls for endpoint in self.endpoints):
            raise errors.BadInput(
                f"{shown} is of no use to an endpoint without TLS: write https:// for all of them"
            )


def parse(words: Iterable[str]) -> tuple[Endpoint, ...]:
    """Return endpoints, each like ``https://host:2379`` or ``host``; raises BadInput.

    One word may name several, with commas. Each is returned once.
    """
    found = [_endpoint(part.strip()) for word in words for part in word.split(",") if part.strip()]
    return tuple(dict.fromkeys(found))


def _endpoint(word: str) -> Endpoint:
    try:
        parts = urllib.parse.urlsplit(word if "://" in word else f"http://{word}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise errors.BadInput(f"{word!r} is no endpoint of etcd: {error}") from error
    if parts.scheme not in {"http", "https"} or parts.path not in {"", "/"}:
        raise errors.BadInput(f"{word!r} is no endpoint of etcd: it is like https://host:2379")
    if not host or not _HOST.match(host) or parts.username or parts.query or parts.fragment:
        raise errors.BadInput(f"{word!r} is no endpoint of etcd: it is like https://host:2379")
    port = _PORT if port is None else port
    if port not in _PORTS:
        raise errors.BadInput(f"{word!r} is no endpoint of etcd: there is no port {port}")
    return Endpoint(host, port, tls=parts.scheme == "https")
