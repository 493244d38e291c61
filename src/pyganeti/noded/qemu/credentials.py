"""By what two qemus that hand over a guest know each other: TLS, both sides with a certificate.

Both are made for the one migration, from the key that every node of the cluster has, and handed to
qemu as files in a directory that is there only while it reads them. It may run as another user and
shut into a directory; the files are where it can read them, and nobody else can.
"""

import asyncio
import contextlib
import datetime as dt
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from pyganeti.base import errors
from pyganeti.noded.qemu import monitor, places, process

NAME: Final = "migration-tls"
_DIRECTORY: Final = "tls"
_READING: Final = 60.0
"""Seconds that a qemu takes to read a few files, at the very most."""


def host_of(uuid: str) -> str:
    """Return whom the source asks for: the target that waits for this very instance."""
    return f"{uuid}.migration"


async def give(
    talk: monitor.Monitor,
    running: process.Running,
    where: places.Places,
    uuid: str,
    *,
    server: bool,
) -> None:
    """Give a qemu its side's credentials, under the name `NAME`; raises Failure."""
    await _delete(talk)
    async with _files(running, where, uuid) as seen:
        await talk.execute(
            "object-add",
            {
                "qom-type": "tls-creds-x509",
                "id": NAME,
                "dir": seen,
                "endpoint": "server" if server else "client",
                "verify-peer": True,
            },
        )
    named = {"tls-creds": NAME} if server else {"tls-creds": NAME, "tls-hostname": host_of(uuid)}
    await talk.execute("migrate-set-parameters", named)


async def take(talk: monitor.Monitor) -> None:
    """Have a qemu forget its credentials; nothing if it has none."""
    with contextlib.suppress(monitor.Refused):
        await talk.execute("migrate-set-parameters", {"tls-creds": "", "tls-hostname": ""})
    await _delete(talk)


def forget(name: str, where: places.Places) -> None:
    """Remove the files that are left if we died while a qemu read them. Raises OSError."""
    for directory in (_outside(name, where), where.chroot(name) / _DIRECTORY):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(directory)


def tidy(where: places.Places, now: float) -> None:
    """Remove what we have left of guests that still run: nobody reads it for so long. Blocks."""
    for directory in (
        *where.control.glob(f"*.{_DIRECTORY}"),
        *where.chroots.glob(f"*/{_DIRECTORY}"),
    ):
        with contextlib.suppress(OSError):
            if directory.stat().st_mtime + _READING < now:
                _remove(directory)


async def _delete(talk: monitor.Monitor) -> None:
    with contextlib.suppress(monitor.Refused):  # there is none
        await talk.execute("object-del", {"id": NAME})


@contextlib.asynccontextmanager
async def _files(running: process.Running, where: places.Places, uuid: str) -> AsyncIterator[str]:
    """Have the files there for the block; its value is the directory as the qemu sees it."""
    try:
        directory, seen = await asyncio.to_thread(_write, running, where, uuid)
    except OSError as error:
        raise errors.Unavailable(
            f"credentials for the migration of {running.name}: {error}"
        ) from error
    try:
        yield seen
    finally:
        await asyncio.to_thread(_remove, directory)


def _write(running: process.Running, where: places.Places, uuid: str) -> tuple[Path, str]:
    from pyganeti.base import certificates  # noqa: PLC0415 - large, and seldom needed

    signer = where.paths.server_certificate.read_bytes()
    peer = certificates.make_peer(signer, host_of(uuid), dt.datetime.now(dt.UTC))
    owner = os.stat(f"/proc/{running.pid}")  # noqa: PTH116 - whose process it is by now
    inside = os.readlink(f"/proc/{running.pid}/root") != "/"  # noqa: PTH115 - compared as text
    directory = where.chroot(running.name) / _DIRECTORY if inside else _outside(running.name, where)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)
    directory.mkdir(mode=0o700)
    if inside:
        directory.parent.chmod(0o711)  # qemu has to get to it, and finds nothing else there
    content = {"ca-cert": peer.authority}
    for side in ("server", "client"):
        content |= {f"{side}-cert": peer.certificate, f"{side}-key": peer.key}
    try:
        for name, pem in content.items():
            path = directory / f"{name}.pem"
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(pem)
            os.chown(path, owner.st_uid, owner.st_gid)
        os.chown(directory, owner.st_uid, owner.st_gid)
    except BaseException:
        _remove(directory)
        raise
    return directory, f"/{_DIRECTORY}" if inside else str(directory)


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    if directory.name == _DIRECTORY:
        directory.parent.chmod(0o700)


def _outside(name: str, where: places.Places) -> Path:
    return where.control / f"{name}.{_DIRECTORY}"
