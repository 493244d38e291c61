"""The files that make a machine a node of a cluster, and those of a cluster's first."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pyganeti.base import files, paths, ssconf
from pyganeti.model.config import datafile, entries
from pyganeti.model.config import ssconf as settings
from pyganeti.model.config.snapshot import Snapshot

_CONFIG_MODE: Final = 0o640
_STATE_MODE: Final = 0o755
_QUEUE_MODE: Final = 0o700
_NAMES: Final = (
    "server.pem",
    "client.pem",
    "rapi.pem",
    "spice.pem",
    "spice-ca.pem",
    "hmac.key",
    "cluster-domain-secret",
    "store.json",
    "etcd-ca.pem",
    "etcd-client.pem",
    "etcd-client.key",
)


def make_directories(layout: paths.Paths, storage: Iterable[str]) -> None:
    """Make the directories that a node has, those for disks that are files among them."""
    for directory, mode in _directories(layout, storage):
        files.make_directories(directory, mode)


def remove(layout: paths.Paths) -> None:
    """Remove the files that make a node one of a cluster; directories stay. Raises OSError."""
    state = layout.state_dir
    found = [
        *(state / name for name in _NAMES),
        *state.glob("ssconf_*"),
        *files.leftovers(state),
        layout.config_data,
        layout.config_generations,
        layout.config_epoch_file,
        layout.epoch_file,
        layout.queue_dir,
    ]
    for path in found:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _directories(layout: paths.Paths, storage: Iterable[str]) -> list[tuple[Path, int]]:
    found = [
        (layout.state_dir, _STATE_MODE),
        (layout.run_dir, _STATE_MODE),
        (layout.run_dir / "socket", _STATE_MODE),
        (layout.log_dir, _STATE_MODE),
        (layout.config_dir, _STATE_MODE),
        (layout.queue_dir, _QUEUE_MODE),
        (layout.queue_dir / "archive", _QUEUE_MODE),
        (layout.state_dir / "rapi", _STATE_MODE),
        (layout.localize("/srv/ganeti/os"), _STATE_MODE),
        (layout.localize("/srv/ganeti/export"), _STATE_MODE),
    ]
    return found + [(Path(place), _STATE_MODE) for place in storage]


def storage_dirs(templates: Iterable[str], file: str, shared: str) -> list[str]:
    """Return where a cluster keeps disks that are files: paths as they are, on every node."""
    enabled = frozenset(templates)
    places = {"file": file, "sharedfile": shared}
    return [place for template, place in places.items() if place and template in enabled]


def write_configuration(layout: paths.Paths, snapshot: Snapshot) -> list[Path]:
    """Write config.data and the simple settings, durably; return what was written."""
    data = datafile.Pieces(entries.from_snapshot(snapshot)).render()
    files.write_durably(layout.config_data, data, _CONFIG_MODE)
    values = settings.make(snapshot)
    ssconf.write(
        layout, {name: "".join(f"{line}\n" for line in lines) for name, lines in values.items()}
    )
    return [layout.config_data, *(layout.ssconf(name) for name in values)]


def allow_storage(layout: paths.Paths, storage: Iterable[str]) -> Path | None:
    """Let the node keep disks where the cluster wants them, unless it says where already.

    Returns the file if it was made. What an administrator has written stays as it is.
    """
    path = layout.config_dir / "file-storage-paths"
    if path.exists():
        return None
    lines = ["# Where disks that are files may be; one directory a line.", *storage]
    files.write_durably(path, "".join(f"{line}\n" for line in lines).encode(), 0o644)
    return path
