"""The names in ``/etc/hosts``: a node's line is added or taken out, everything else stays.

What is written is decided by pure functions; the file is replaced whole, with the owner and mode
that it had. Both ways can be repeated.
"""

import ipaddress
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files

_MODE: Final = 0o644
_LIMIT: Final = 4 * 1024 * 1024
_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9_])?")


def add(path: Path, name: str, address: str) -> None:
    """Have an address mean a host, by its name and the name's first part. Blocks.

    Raises BadInput if one of them is none, Unavailable if the file cannot be read or written.
    """
    _check_name(name)
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise errors.BadInput(f"{address!r} is not an IP address") from error
    _change(path, lambda text: with_host(text, name, address))


def remove(path: Path, name: str) -> None:
    """Have a name, and its first part, mean nothing any more. Blocks. Raises like `add`."""
    _check_name(name)
    _change(path, lambda text: without_host(text, name))


def with_host(text: str, name: str, address: str) -> str:
    """Return the file's text with one line for the address, where its first one was."""
    names = " ".join(dict.fromkeys((name, name.partition(".")[0])))
    wanted = f"{address}\t{names}\n"
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.split()[:1] != [address]:
            lines.append(line if line.endswith("\n") else f"{line}\n")
        elif wanted not in lines:
            lines.append(wanted)
    return "".join(lines if wanted in lines else [*lines, wanted])


def without_host(text: str, name: str) -> str:
    """Return the file's text without the names; a line that names nobody else goes."""
    gone = {name, name.partition(".")[0]}
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        said, mark, comment = line.partition("#")
        words = said.split()
        if gone.isdisjoint(words[1:]):
            lines.append(line)
            continue
        kept = [word for word in words[1:] if word not in gone]
        if kept:
            lines.append(f"{words[0]} {' '.join(kept)}" + (f" {mark}{comment}" if mark else "\n"))
    return "".join(lines)


def _change(path: Path, change: Callable[[str], str]) -> None:
    try:
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                old = file.read(_LIMIT + 1)
            mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
        except FileNotFoundError:
            old, mode, owner = b"", _MODE, None
        if len(old) > _LIMIT:
            raise errors.Damaged(f"{path} has more than {_LIMIT} bytes")
        text = old.decode(errors="surrogateescape")
        new = change(text)
        if new != text:
            files.make_directories(path.parent, 0o755)
            files.write_durably(path, new.encode(errors="surrogateescape"), mode, owner)
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be changed: {error.strerror}") from error


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise errors.BadInput(f"{name!r} is not the name of a host")
