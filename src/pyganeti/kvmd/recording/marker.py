"""``NAME.shutdown``: the file by which Ganeti learns that the user ended a guest from inside.

It is empty, lies beside the guest's socket, and is made without following a link and without
touching whatever is there already. Whether it is due is decided elsewhere; here it is only made
and removed. Failures: `errors.Denied` if something other than a file is in the way, which does
not get better by trying again; `OSError` otherwise, which may.
"""

from typing import Final

from pyganeti.base import files

SUFFIX: Final = ".shutdown"


def make(dirfd: int, name: str) -> bool:
    """Make the guest's marker in the directory ``dirfd``; tell whether it was not there yet."""
    return files.create_marker(dirfd, name + SUFFIX)


def remove(dirfd: int, name: str) -> bool:
    """Remove the guest's marker from the directory ``dirfd``; tell whether there was one."""
    return files.remove(dirfd, name + SUFFIX)
