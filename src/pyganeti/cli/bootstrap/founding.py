"""The files of a cluster's first node, from its configuration."""

from pathlib import Path
from typing import Final

from pyganeti.base import files, paths, ssconf
from pyganeti.model.config import datafile, entries
from pyganeti.model.config import ssconf as settings
from pyganeti.model.config.snapshot import Snapshot

_CONFIG_MODE: Final = 0o640
_STATE_MODE: Final = 0o755
_QUEUE_MODE: Final = 0o700
_VERSION: Final = b"1\n"


def directories(layout: paths.Paths, snapshot: Snapshot) -> list[tuple[Path, int]]:
    """Return the directories that a node of the cluster has, with their modes."""
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
    return found + [(Path(place), _STATE_MODE) for place in storage_dirs(snapshot)]


def storage_dirs(snapshot: Snapshot) -> list[str]:
    """Return where the cluster keeps disks that are files: paths as they are, on every node."""
    cluster = snapshot.cluster
    enabled = {
        "file": cluster.file_storage_dir,
        "sharedfile": cluster.shared_file_storage_dir,
    }
    return [
        place
        for template, place in enabled.items()
        if place and template in cluster.enabled_disk_templates
    ]


def write_configuration(layout: paths.Paths, snapshot: Snapshot) -> list[Path]:
    """Write config.data and the simple settings, durably; return what was written."""
    data = datafile.Pieces(entries.from_snapshot(snapshot)).render()
    files.write_durably(layout.config_data, data, _CONFIG_MODE)
    values = settings.make(snapshot)
    ssconf.write(
        layout, {name: "".join(f"{line}\n" for line in lines) for name, lines in values.items()}
    )
    return [layout.config_data, *(layout.ssconf(name) for name in values)]


def allow_storage(layout: paths.Paths, snapshot: Snapshot) -> Path | None:
    """Let the node keep disks where the cluster wants them, unless it says where already.

    Returns the file if it was made. What an administrator has written stays as it is.
    """
    path = layout.config_dir / "file-storage-paths"
    if path.exists():
        return None
    lines = ["# Where disks that are files may be; one directory a line.", *storage_dirs(snapshot)]
    files.write_durably(path, "".join(f"{line}\n" for line in lines).encode(), 0o644)
    return path
