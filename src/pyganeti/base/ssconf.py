"""Reading the cluster's simple settings: one small file a value, the same on every node."""

from typing import Final

from pyganeti.base import errors, paths

_LIMIT: Final = 128 * 1024


def read(layout: paths.Paths, name: str) -> str | None:
    """Return the content of ``ssconf_NAME``, None if the node has none.

    Raises Denied if there is one that cannot be read: that is no node without a cluster.
    """
    path = layout.ssconf(name)
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT).decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise errors.Denied(f"{path}: {error.strerror}") from error
