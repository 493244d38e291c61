"""New secrets of a cluster, written on its master; jobs bring them to the other nodes."""

import datetime as dt
from pathlib import Path
from typing import Final

from pyganeti.base import certificates, errors, files, paths
from pyganeti.cli.bootstrap import secrets

_MODE: Final = 0o600
_LIMIT: Final = 256 * 1024
_SERVER_NEW: Final = "server.pem.new"


def contents(
    cluster: str,
    now: dt.datetime,
    *,
    rapi: bool,
    rapi_from: Path | None,
    spice: bool,
    spice_from: Path | None,
    spice_ca_from: Path | None,
    hmac: bool,
    domain_secret: bool,
    domain_secret_from: Path | None,
) -> dict[str, bytes]:
    """Return new contents by their files' names; raises BadInput for what is no certificate."""
    found: dict[str, bytes] = {}
    if rapi:
        found["rapi.pem"] = certificates.make_server(now, name=cluster).pem
    elif rapi_from is not None:
        found["rapi.pem"] = certificates.read(rapi_from).pem
    if spice:
        made = certificates.make_server(now, name=cluster).pem
        found |= {"spice.pem": made, "spice-ca.pem": secrets.certificate_of(made)}
    elif spice_from is not None and spice_ca_from is not None:
        found["spice.pem"] = certificates.read(spice_from).pem
        found["spice-ca.pem"] = _read(spice_ca_from)
    if hmac:
        found["hmac.key"] = secrets.draw()
    if domain_secret:
        found["cluster-domain-secret"] = secrets.draw()
    elif domain_secret_from is not None:
        found["cluster-domain-secret"] = _read(domain_secret_from)
    return found


def write(layout: paths.Paths, found: dict[str, bytes]) -> None:
    """Write them, each durably. Raises OSError."""
    for name, content in found.items():
        files.write_durably(layout.state_dir / name, content, _MODE)


def prepare_server(layout: paths.Paths, cluster: str, now: dt.datetime) -> bool:
    """Have a new certificate of the cluster's wait; return whether one waited already."""
    path = layout.state_dir / _SERVER_NEW
    if path.exists():
        certificates.read(path)
        return True
    made = certificates.make_server(now, name=cluster, successor=True)
    files.write_durably(path, made.pem, _MODE)
    return False


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT + 1)
    except OSError as error:
        raise errors.BadInput(f"{path} cannot be read: {error.strerror}") from error
    if not content.strip() or len(content) > _LIMIT:
        raise errors.BadInput(f"{path} is empty or too long")
    return content
