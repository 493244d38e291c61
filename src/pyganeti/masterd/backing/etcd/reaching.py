"""How the etcd is reached that a candidate's file names."""

from pathlib import Path

from pyganeti.clients.etcd import access
from pyganeti.wire import storefile


def access_of(kept: storefile.Etcd) -> access.Access:
    """Return how an etcd is reached; raises BadInput."""
    authority, certificate, key = (
        None if path is None else Path(path)
        for path in (kept.authority, kept.certificate, kept.key)
    )
    return access.Access(
        endpoints=access.parse(kept.endpoints),
        authority=authority,
        certificate=certificate,
        key=key,
    )
