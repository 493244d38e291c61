"""Files that a master may put on a node: those of a short list, and no others.

What is on the list can decide who is root here (``/etc/hosts``, the cluster's secrets), so the
list is closed, and ``/etc/ganeti/file-storage-paths``, by which a node's administrator limits what
masters may do, is never on it.
"""

import grp
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files, log, paths
from pyganeti.clients import configlabel

_LOG = log.get(__name__)
_MODE: Final = 0o600

ALLOWED: Final = frozenset(
    {
        "/etc/ganeti/kvm-vif-bridge",
        "/etc/ganeti/vnc-cluster-password",
        "/etc/hosts",
        "/var/lib/ganeti/cluster-domain-secret",
        "/var/lib/ganeti/config.data",
        "/var/lib/ganeti/etcd-ca.pem",
        "/var/lib/ganeti/etcd-client.key",
        "/var/lib/ganeti/etcd-client.pem",
        "/var/lib/ganeti/hmac.key",
        "/var/lib/ganeti/known_hosts",
        "/var/lib/ganeti/rapi.pem",
        "/var/lib/ganeti/rapi/users",
        "/var/lib/ganeti/spice-ca.pem",
        "/var/lib/ganeti/spice.pem",
        "/var/lib/ganeti/store.json",
    }
)
"""As all nodes call them."""


def place_of(layout: paths.Paths, name: str) -> Path:
    """Return where a file goes that a master sends; raises Denied if it is not on the list."""
    if name not in ALLOWED:
        raise errors.Denied(f"{name} is not a file that may be uploaded")
    return layout.localize(name)


def write(
    path: Path,
    data: bytes,
    *,
    mode: int | None,
    user: str,
    group: str,
    times: tuple[float | None, float | None],
) -> None:
    """Replace a file; ``mode`` None keeps the old one's, ``times`` are access and change. Blocks.

    A user or group that this node does not have (Ganeti's packages make some) is root here, which
    keeps others out. Raises Unavailable if it cannot be written; the old one is then as it was.
    """
    try:
        files.make_directories(path.parent)
        files.write_durably(path, data, _mode(path, mode), _owner(user, group))
        accessed, changed = times
        if accessed is not None or changed is not None:
            now = path.stat()
            os.utime(
                path,
                (
                    now.st_atime if accessed is None else accessed,
                    now.st_mtime if changed is None else changed,
                ),
            )
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "its times are no times"
        raise errors.Unavailable(f"{path} cannot be written: {why}") from error


def replace_config(
    layout: paths.Paths, content: bytes, epoch: int, replace: Callable[[], None]
) -> None:
    """Replace the configuration by one of an epoch, 0 if that is not known. Blocks.

    Raises Unavailable if it cannot be; see `configlabel` for what there is then.
    """
    try:
        configlabel.replacing(layout, content, epoch, replace)
    except OSError as error:
        raise errors.Unavailable(
            f"of which epoch the configuration is cannot be written: {error.strerror}"
        ) from error


def _mode(path: Path, wanted: int | None) -> int:
    if wanted is not None:
        return stat.S_IMODE(wanted)
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return _MODE


def _owner(user: str, group: str) -> files.Owner | None:
    if os.geteuid() != 0:
        return None
    try:
        user_number = pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):
        _LOG.warning("a user is not known here, so root owns the file", user=user)
        user_number = 0
    try:
        group_number = grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        _LOG.warning("a group is not known here, so root's owns the file", group=group)
        group_number = 0
    return user_number, group_number
