"""The cluster's simple settings: one small file a value, the same on every node.

A master has them written; everybody reads them, shell scripts too.
"""

import re
from collections.abc import Mapping
from typing import Final

from pyganeti.base import errors, files, paths

_LIMIT: Final = 128 * 1024
_MODE: Final = 0o444
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")


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


def write(layout: paths.Paths, values: Mapping[str, str]) -> None:
    """Write files, each whole; nothing is written if one of them cannot be right.

    Raises BadInput for a name that is none or a value that is too long, OSError if the disk
    refuses: then some may be new and some old. Blocks.
    """
    contents: dict[str, bytes] = {}
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            raise errors.BadInput(f"{name!r} is not the name of a setting")
        content = value if not value or value.endswith("\n") else value + "\n"
        contents[name] = content.encode(errors="surrogateescape")
        if len(contents[name]) > _LIMIT:
            raise errors.BadInput(f"the setting {name} has more than {_LIMIT} bytes")
    files.make_directories(layout.state_dir)
    for name, data in contents.items():
        files.write_durably(layout.ssconf(name), data, _MODE)
