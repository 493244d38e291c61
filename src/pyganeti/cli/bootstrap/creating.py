"""Making a cluster out of one machine: everything, or nothing.

The steps: secrets, directories, configuration and settings, the node daemon, the master daemon
(which asks nobody who is master: there is nobody yet). Whatever goes wrong, or whoever loses
patience, in between: the daemons are ended and the files are gone again, and the next try starts
from nothing. Directories stay.
"""

import asyncio
import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from pyganeti.base import daemons, errors, files, paths, ssconf
from pyganeti.cli.bootstrap import founding, secrets, undoing
from pyganeti.model.config.snapshot import Snapshot

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


def create(layout: paths.Paths, snapshot: Snapshot, *, say: Tell, warn: Tell) -> Snapshot:
    """Make this machine the first node of a cluster, and start its daemons.

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
    with undoing.undoing(warn) as steps:
        for directory, mode in founding.directories(layout, snapshot):
            files.make_directories(directory, mode)
        steps.add("remove what was written", lambda: _remove(_all_files(layout)))
        secrets.write(layout, made)
        allowed = founding.allow_storage(layout, snapshot)
        if allowed is not None:
            steps.add(f"remove {allowed}", lambda: allowed.unlink(missing_ok=True))
        say("writing the configuration")
        founding.write_configuration(layout, snapshot)
        for daemon, arguments in ((_NODED, ()), (_MASTERD, ("--no-voting", "--yes-do-it"))):
            say(f"starting {daemon}")
            steps.add(f"end {daemon}", _stopping(layout, daemon))
            _start(layout, daemon, arguments)
    return snapshot


def _start(layout: paths.Paths, daemon: str, arguments: tuple[str, ...]) -> None:
    """Start a daemon; raises Unavailable, with its own words, if it does not run then."""
    ended = asyncio.run(daemons.launch(daemon, arguments))
    if ended.status != 0 or daemons.running(layout, daemon) is None:
        raise errors.Unavailable(f"{daemon} did not start: {daemons.words(ended)}")


def _stopping(layout: paths.Paths, daemon: str) -> Callable[[], Any]:
    return lambda: asyncio.run(daemons.stop(layout, daemon))


def _all_files(layout: paths.Paths) -> list[Path]:
    """Return what makes a node one of a cluster."""
    state = layout.state_dir
    names = [
        "server.pem",
        "client.pem",
        "rapi.pem",
        "spice.pem",
        "spice-ca.pem",
        "hmac.key",
        "cluster-domain-secret",
    ]
    return [
        *(state / name for name in names),
        *state.glob("ssconf_*"),
        layout.config_data,
        layout.config_generations,
        layout.queue_dir,
    ]


def _remove(found: list[Path]) -> None:
    for path in found:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
