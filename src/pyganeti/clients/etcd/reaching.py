"""How the etcd is reached that a candidate's file names."""

from pathlib import Path

from pyganeti.base import paths
from pyganeti.clients.etcd import access
from pyganeti.wire import storefile


def access_of(kept: storefile.Etcd, layout: paths.Paths) -> access.Access:
    """Return how an etcd is reached from a node; raises BadInput."""
    return access.Access(
        endpoints=access.parse(kept.endpoints),
        authority=path_of(layout, kept.authority),
        certificate=path_of(layout, kept.certificate),
        key=path_of(layout, kept.key),
    )


def path_of(layout: paths.Paths, name: str | None) -> Path | None:
    """Return where a file of certificates is on a node: the cluster's copies, or one's own."""
    if name is None:
        return None
    return layout.localize(name) if name in storefile.CERTIFICATES else Path(name)
