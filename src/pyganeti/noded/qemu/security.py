"""As whom a qemu runs and where: the user of its own from the cluster's pool, the empty directory.

With security model ``pool`` every instance has a user to itself: which one is written beside the
pid file before qemu starts, and it is free again when that file is gone. A user that owns any
process is never given out, whatever the files say. A chroot that is not empty at the end is set
aside for somebody to look at, since no qemu has business writing there.
"""

import os
import pwd
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files, log, processes, ssconf
from pyganeti.model import instance as instances
from pyganeti.noded.qemu import places

_LOG = log.get(__name__)
_RANGE: Final = re.compile(r"(\d+)(?:-(\d+))?")
_MOST: Final = 2**31


def is_from_pool(instance: instances.Instance) -> bool:
    """Tell whether an instance's user is one of the pool: `prepare` must not run twice at once."""
    return instance.hvparams.security_model == "pool"


def prepare(instance: instances.Instance, where: places.Places) -> str:
    """Return the user that the qemu is to become, empty for none; make its directory if need be.

    Blocks shortly. Where `is_from_pool` says so it must not run twice at once, or two instances
    would be given one user. Raises Failure if there is no such user or none is left.
    """
    hvparams = instance.hvparams
    if hvparams.use_chroot:
        files.make_directories(where.chroot(instance.name), 0o700)
    if hvparams.security_model == "user":
        return check_user(hvparams.security_domain)
    if is_from_pool(instance):
        uid = _free(where)
        files.write_durably(where.uid(instance.name), b"%d\n" % uid, mode=0o644)
        return _name(uid)
    return ""


def check_user(name: str) -> str:
    """Return a user's name; raises BadInput if there is none."""
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        raise errors.BadInput(f"security_domain {name} is no user of this node") from None


def release(name: str, where: places.Places) -> None:
    """Give back what `prepare` took, after the qemu has ended. Raises OSError."""
    where.uid(name).unlink(missing_ok=True)
    chroot = where.chroot(name)
    try:
        chroot.rmdir()
    except FileNotFoundError:
        return
    except OSError:
        stamp = time.strftime("%Y-%m-%d_%H_%M_%S", time.gmtime())
        aside = where.quarantine / f"{name}-{stamp}-{os.urandom(4).hex()}"
        chroot.rename(aside)
        _LOG.error("a chroot was not empty and was set aside", name=name, place=str(aside))


def _free(where: places.Places) -> int:
    pool = ssconf.read(where.paths, "uid_pool")
    if not pool or not pool.strip():
        raise errors.BadInput("security_model is pool, but the cluster has no uid_pool")
    taken = set(_given_out(where)) | _busy()
    for low, high in _ranges(pool):
        for uid in range(low, high + 1):
            if uid not in taken:
                return uid
    raise errors.Exhausted("every user of the uid_pool is in use on this node")


def _ranges(pool: str) -> Iterator[tuple[int, int]]:
    for line in pool.replace(",", "\n").split():
        found = _RANGE.fullmatch(line)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 0 < low <= high < _MOST:
            raise errors.Damaged(f"the cluster's uid_pool has a line that is no range: {line!r}")
        yield low, high


def _given_out(where: places.Places) -> Iterator[int]:
    for path in where.uids.iterdir():
        try:
            yield int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue  # its qemu's processes say it too


def _busy() -> set[int]:
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                uid = entry.stat().st_uid
            except OSError:
                continue
            # One that has ended, and that nobody has asked after, does no harm any more.
            if uid and processes.state(int(entry.name)) != "Z":
                found.add(uid)
    return found


def _name(uid: int) -> str:
    """Return what qemu knows the user by; one without a name keeps its number, as its group."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"{uid}:{uid}"


def read_password(path: str) -> str:
    """Return the first line of a password file; raises Unavailable if it cannot be read."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.Unavailable(f"the password file {path} cannot be read: {error}") from error
    if not lines or not lines[0]:
        raise errors.Damaged(f"the password file {path} is empty")
    return lines[0]
