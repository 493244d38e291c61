"""The flags that the administrator gives daemons: ``NODED_ARGS="…"`` in ``/etc/default/ganeti``.

systemd reads that file itself; whoever starts daemons without systemd reads it here, as systemd
does: lines of ``NAME=value``, the value quoted or not, ``#`` before comments. What only a shell
could make something of (another variable in a value) is passed over, and said.
"""

import shlex
from typing import Final

from pyganeti.base import errors, log, paths

_LIMIT: Final = 64 * 1024
_LOG: Final = log.get(__name__)


def flags(layout: paths.Paths, daemon: str) -> tuple[str, ...]:
    """Return a daemon's flags, by the name of its command; none where the file says none.

    Raises Denied if there is a file that cannot be read.
    """
    path = layout.root / "etc/default/ganeti"
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT).decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise errors.Denied(f"{path}: {error.strerror}") from error
    wanted = f"{daemon.removeprefix('ganeti-').upper()}_ARGS"
    found: tuple[str, ...] = ()
    for line in content.splitlines():
        name, separator, value = line.strip().removeprefix("export ").partition("=")
        if not separator or name != wanted:
            continue
        if "$" in value or "`" in value:
            _LOG.warning("only a shell could read these flags", file=str(path), flags=line)
            continue
        try:
            found = tuple(shlex.split(" ".join(shlex.split(value, comments=True))))
        except ValueError as error:
            _LOG.warning("flags make no sense", file=str(path), flags=line, why=str(error))
    return found
