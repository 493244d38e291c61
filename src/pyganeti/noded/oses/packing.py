"""Packs an OS definition and what its scripts would be told into one archive.

For helpers that run untrusted scripts elsewhere: ``os/`` is the definition with symlinks followed,
``environment`` the variables, one a line. The archive is readable for its owner alone: parameters
may be secrets. Blocking.
"""

import io
import os
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pyganeti.base import errors
from pyganeti.noded.oses import definition as definitions

_MODE: Final = 0o600


def pack(definition: definitions.Definition, environment: Mapping[str, str]) -> Path:
    """Return the path of a new archive, which is the caller's; raises Unavailable."""
    text = "".join(f"{name}={value}\n" for name, value in environment.items()).encode()
    try:
        fd, name = tempfile.mkstemp(prefix="ganeti-os-", suffix=".tgz")
        path = Path(name)
        try:
            with (
                os.fdopen(fd, "wb") as file,
                tarfile.open(fileobj=file, mode="w:gz", dereference=True) as archive,
            ):
                archive.add(definition.folder, "os")
                entry = tarfile.TarInfo("environment")
                entry.size, entry.mode, entry.mtime = len(text), _MODE, int(time.time())
                archive.addfile(entry, io.BytesIO(text))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise errors.Unavailable(
            f"Failed to create an archive of the OS {definition.name}: {error}"
        ) from error
    return path
