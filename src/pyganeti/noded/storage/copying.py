"""Fills disks: with zeros, with an image, with another disk's content.

What is filled exists already and keeps its size. A fill that was cut short, by our death too, has
changed nothing else; the next one begins at the beginning. The tools that do it die with us.

Content is never guessed at: an image is raw, a disk is what its parameters say. (A guest can write
any format's header onto its raw disk.)
"""

import os
import re
import stat
from typing import Final

from pyganeti.base import errors
from pyganeti.noded.storage import driver, imagefiles, opening, programs

_URL: Final = re.compile(r"(https?|ftps?)://", re.IGNORECASE)
_DAY: Final = 24 * 3600.0
_GIB: Final = 1024
"""MiB that qemu-io writes in one go; it takes less than 2 GiB."""

_WRITES: Final = 1000
"""Writes in one command line, which has its limits."""

_TOO_LARGE: Final = 99
_DOWNLOAD: Final = f"""\
set -o pipefail
setpriv --pdeathsig KILL -- \
curl --fail --silent --show-error --location --connect-timeout 30 --speed-limit 1 --speed-time 300 \
    --proto '=http,https,ftp,ftps' --proto-redir '=http,https,ftp,ftps' --url "$1" | {{
    dd of="$2" bs=1M count="$3" iflag=fullblock oflag="$4" conv=notrunc,nocreat,fsync status=none \
        || exit
    if head -c 1 | grep -q '' ; then exit {_TOO_LARGE}; fi
}}
"""


class Copying:
    """The tools that fill disks."""

    def __init__(self, tools: programs.Programs) -> None:
        self._tools = tools

    async def wipe(self, target: driver.Reached, offset: int, size: int) -> None:
        """Write ``size`` MiB of zeros from ``offset`` MiB on."""
        if target.format == "raw":
            await self._tools.run(
                ["dd", "if=/dev/zero", f"of={target.name}", "bs=1M", f"seek={offset}",
                 f"count={size}", f"oflag={_flag(target)}", "conv=notrunc,nocreat,fsync",
                 "status=none"],
                descriptors=target.descriptors, timeout=_DAY, tied=True,
            )  # fmt: skip
            return
        end = offset + size
        for begin in range(offset, end, _GIB * _WRITES):
            writes = [
                part
                for at in range(begin, min(begin + _GIB * _WRITES, end), _GIB)
                for part in ("-c", f"write -q -z {at}M {min(_GIB, end - at)}M")
            ]
            await self._tools.run(
                ["qemu-io", "-f", target.format, *writes, target.name],
                descriptors=target.descriptors, timeout=_DAY, tied=True,
            )  # fmt: skip

    async def convert(self, source: driver.Reached, target: driver.Reached) -> None:
        """Copy a disk's content; raises if the target is smaller."""
        await self._tools.run(
            ["qemu-img", "convert", "-q", "-n", "-f", source.format, "-O", target.format,
             "-T", _cache(source), "-t", _cache(target), source.name, target.name],
            descriptors=(*source.descriptors, *target.descriptors), timeout=_DAY, tied=True,
        )  # fmt: skip

    async def image(self, image: str, size: int, target: driver.Reached) -> None:
        """Put a raw image of at most ``size`` MiB at the beginning, from a path."""
        async with opening.opened(lambda: _open_image(image, size)) as fd:
            await self.convert(
                driver.Reached(f"/proc/self/fd/{fd}", descriptors=(fd,), is_direct=False), target
            )

    async def download(self, url: str, size: int, target: driver.Reached) -> None:
        """Put a raw image of at most ``size`` MiB at the beginning of a raw disk, from a URL."""
        if not self._tools.has("curl"):
            raise errors.Unavailable("curl, which downloads images, is not installed on this node")
        try:
            await self._tools.run(
                ["bash", "-c", _DOWNLOAD, "download", url, target.name, str(size), _flag(target)],
                descriptors=target.descriptors, timeout=_DAY, tied=True,
            )  # fmt: skip
        except programs.ToolFailed as error:
            if error.status == _TOO_LARGE:
                raise errors.BadInput(f"the image {url} has more than {size} MiB") from error
            raise programs.ToolFailed(f"downloading {url}: {error}") from error


def is_url(image: str) -> bool:
    """Tell whether an image is to be downloaded."""
    return _URL.match(image) is not None


def _cache(reached: driver.Reached) -> str:
    return "none" if reached.is_direct else "writeback"


def _flag(reached: driver.Reached) -> str:
    return "direct" if reached.is_direct else "sync"


def _open_image(path: str, size: int) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise errors.Unavailable(f"the image {path}: {error.strerror}") from error
    try:
        _check_image(fd, path, size)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_image(fd: int, path: str, size: int) -> None:
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        raise errors.BadInput(f"the image {path} is neither a file nor a block device")
    length = os.lseek(fd, 0, os.SEEK_END)
    if length > size * imagefiles.MIB:
        raise errors.BadInput(
            f"the image {path} has {-(-length // imagefiles.MIB)} MiB, more than {size} MiB"
        )
