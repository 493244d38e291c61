"""Making a cluster out of one machine: everything, or nothing.

The steps: secrets, directories, configuration and settings, the node daemon, the master daemon
(which asks nobody who is master: there is nobody yet). Whatever goes wrong, or whoever loses
patience, in between: the daemons are ended and the files are gone again, and the next try starts
from nothing. Directories stay.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyganeti.base import errors, paths, ssconf
from pyganeti.cli.bootstrap import founding, secrets, starting, storing, undoing
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import storefile

_NODED: Final = "ganeti-noded"
_MASTERD: Final = "ganeti-masterd"

Tell = Callable[[str], None]


def refuse_second(layout: paths.Paths) -> None:
    """Raise BadInput if this node is in a cluster already."""
    name = (ssconf.read(layout, "cluster_name") or "").strip()
    if name or layout.config_data.exists() or layout.server_certificate.exists():
        what = f"the cluster {name}" if name else "a cluster"
        raise errors.BadInput(
            f"this node is in {what} already; it leaves it with gnt-cluster destroy, or by removing"
            f" what lies in {layout.state_dir}",
            "already_exists",
        )


@dataclass(frozen=True, slots=True)
class Store:
    """An etcd that a cluster is to be kept in, and the files with certificates for it."""

    kept: storefile.Etcd
    certificates: dict[str, Path | None]


def create(
    layout: paths.Paths, snapshot: Snapshot, store: Store | None = None, *, say: Tell, warn: Tell
) -> Snapshot:
    """Make this machine the first node of a cluster, and start its daemons.

    It is kept in files, or in a ``store``.

    Returns the configuration as it was written. Raises Failure or OSError, and then everything is
    as it was.
    """
    refuse_second(layout)
    node = snapshot.master
    now = dt.datetime.now(dt.UTC)
    say("making keys and certificates")
    made = secrets.make(snapshot.cluster.cluster_name, node.name, now)
    cluster = msgspec.structs.replace(
        snapshot.cluster, candidate_certs={node.uuid: made.client.digest}
    )
    snapshot = msgspec.structs.replace(snapshot, cluster=cluster)
    storage = founding.storage_dirs(
        cluster.enabled_disk_templates, cluster.file_storage_dir, cluster.shared_file_storage_dir
    )
    with undoing.undoing(warn) as steps:
        founding.make_directories(layout, storage)
        steps.add("remove what was written", lambda: founding.remove(layout))
        secrets.write(layout, made)
        allowed = founding.allow_storage(layout, storage)
        if allowed is not None:
            steps.add(f"remove {allowed}", lambda: allowed.unlink(missing_ok=True))
        say("writing the configuration")
        founding.write_configuration(layout, snapshot)
        if store is not None:
            storing.copy_certificates(layout, **store.certificates)
            storing.move(store.kept, say)
        for daemon, arguments in ((_NODED, ()), (_MASTERD, ("--no-voting", "--yes-do-it"))):
            say(f"starting {daemon}")
            steps.add(f"end {daemon}", starting.ending(layout, daemon))
            starting.start(layout, daemon, arguments)
    return snapshot
