"""What a node is in its cluster, and what is installed on it: the files looked at, no more."""

import shutil
from pathlib import Path
from typing import Final

from pyganeti.base import daemons, errors, log, paths, ssconf
from pyganeti.watcher import wanted
from pyganeti.wire import storefile

_LOG: Final = log.get(__name__)


def standing(layout: paths.Paths, name: str) -> wanted.Standing:
    """Return what this node is; ``name`` is its name. Blocks for a moment.

    Raises Denied if what the node was told cannot be read.
    """
    is_member = layout.server_certificate.is_file() and master(layout) is not None
    return wanted.Standing(
        is_member=is_member,
        is_master=is_member and master(layout) == name,
        may_lead=is_member and _is_shared(layout) and name in _candidates(layout),
    )


def master(layout: paths.Paths) -> str | None:
    """Return the master's name as this node knows it, None if it is in no cluster."""
    return (ssconf.read(layout, "master_node") or "").strip() or None


def installed(layout: paths.Paths) -> frozenset[str]:
    """Return which daemons' commands are there.

    Where ours to lead only came along with this command, and nobody put it on the path, but
    Ganeti's are on it, those are meant. Ganeti's own look after one node a machine alone.
    """
    found = {daemon for daemon in wanted.ALL if daemons.installed(daemon) is not None}
    has_theirs = all(shutil.which(daemon) for daemon in (wanted.WCONFD, wanted.LUXID))
    if layout.root == Path("/") and has_theirs and shutil.which(wanted.MASTERD) is None:
        found.discard(wanted.MASTERD)
    if layout.root != Path("/"):
        found &= {*wanted.OURS, wanted.RAPI}
    return frozenset(found)


def _candidates(layout: paths.Paths) -> list[str]:
    return (ssconf.read(layout, "master_candidates") or "").split()


def _is_shared(layout: paths.Paths) -> bool:
    """Tell whether the cluster is kept where several may lead from; garbage is said, and is no."""
    path = layout.store_file
    try:
        storefile.decode(path.read_bytes())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise errors.Denied(f"{path}: {error.strerror}") from error
    except errors.Damaged as error:
        _LOG.warning("what the cluster is kept in cannot be read", why=str(error))
        return False
    return True
