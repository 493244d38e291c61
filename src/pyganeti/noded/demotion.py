"""Making a node no master candidate: its copy of the cluster's configuration is set aside.

A node that is the master, or runs a master's daemon, keeps it: whoever asks for that is mistaken.
The configuration becomes a backup by its name alone, so that it is never lost in between, and a
call that comes again finds nothing left to do.
"""

import os
import socket
from pathlib import Path
from typing import Final

from pyganeti.base import daemons, errors, files, log, paths, ssconf
from pyganeti.wire import storefile

_LOG = log.get(__name__)
_STANDS_BY: Final = "ganeti-masterd"
_MASTERS: Final = ("ganeti-masterd", "ganeti-luxid", "ganeti-wconfd")


async def end_standby(layout: paths.Paths) -> None:
    """Have a master daemon end that stands by, and nobody start it again.

    Harmless if none does. Raises Denied if it leads, Unavailable if it does not end.
    """
    if not layout.store_file.exists():
        return
    if _listens(layout.leader_socket):
        raise errors.Denied("The master daemon leads the cluster, will not demote")
    layout.store_file.unlink(missing_ok=True)
    for name in storefile.CERTIFICATES:
        layout.localize(name).unlink(missing_ok=True)
    if not await daemons.stop(layout, _STANDS_BY):
        raise errors.Unavailable(f"{_STANDS_BY} does not end")


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)  # noqa: FBT003 - no keyword there
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def demote(layout: paths.Paths, name: str, now: float) -> None:
    """Set the configuration aside; ``name`` is this node's, ``now`` the epoch's seconds. Blocks.

    Raises Denied if this is the master, Unavailable if the disk refuses.
    """
    if (ssconf.read(layout, "master_node") or "").strip() == name:
        raise errors.Denied("ssconf status shows I'm the master node, will not demote")
    runs = [daemon for daemon in _MASTERS if daemons.running(layout, daemon) is not None]
    if runs:
        raise errors.Denied(f"The master daemon is running ({', '.join(runs)}), will not demote")
    config = layout.state_dir / "config.data"
    backup = config.with_name(f"config.data.backup-{now:.0f}.{os.urandom(4).hex()}")
    try:
        config.rename(backup)
        files.sync_directory(config.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise errors.Unavailable(f"{config} cannot be set aside: {error.strerror}") from error
    _LOG.info("the cluster's configuration was set aside", backup=str(backup))
