"""Taps: the host's end of a guest's network card, opened here and handed to qemu as descriptors.

A tap made here is not persistent: it is there for as long as somebody has it open, and the kernel
takes it away with its last descriptor, whatever ended the holder (see docs/decisions). So there is
nothing to clean up after a crash, and nobody may keep a descriptor longer than it takes to start
qemu: `Tap.close` is for every way out.

A tap has its NIC's name (``tap`` and the beginning of its uuid), so that it is the same after a
restart, and never another NIC's while somebody still cleans up after this one. If that name is
taken, or the NIC has no uuid, the kernel chooses (``tap0``, …). Scripts and Ganeti's tools know
taps by that prefix.
"""

import contextlib
import errno
import fcntl
import os
import struct
import sys
from dataclasses import dataclass
from typing import Final

from pyganeti.base import errors
from pyganeti.noded.net import nic as nics

_TUN: Final = "/dev/net/tun"
_VHOST: Final = "/dev/vhost-net"
_TUNSETIFF: Final = 0x400454CA  # <linux/if_tun.h>
_TUNGETFEATURES: Final = 0x800454CF
_TAP: Final = 0x0002
_MULTI_QUEUE: Final = 0x0100
_NO_PI: Final = 0x1000
_VNET_HDR: Final = 0x4000
_EXCLUSIVE: Final = 0x8000
"""Without it a multiqueue tap of that name, another qemu's, would get one queue more."""

_REQUEST: Final = struct.Struct("16sH22x")
"""struct ifreq: the name, and flags."""

_MOST_QUEUES: Final = 256
"""As the kernel's MAX_TAP_QUEUES."""

_PREFIXES: Final = ("tap", "gnt.com.")
_UUID_DIGITS: Final = 12
_TAKEN: Final = (errno.EBUSY, errno.EEXIST, errno.EINVAL)
"""EINVAL: by an interface that is no tap."""

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


@dataclass(frozen=True, slots=True)
class Tap:
    """An open tap: one descriptor a queue, and as many of vhost if that was asked for."""

    name: str
    descriptors: tuple[int, ...]
    vhost_descriptors: tuple[int, ...] = ()

    def close(self) -> None:
        """Give our descriptors up, once; without another holder the tap is gone then."""
        for fd in (*self.descriptors, *self.vhost_descriptors):
            os.close(fd)


def open_tap(nic: nics.Nic, *, queues: int = 1, vnet_hdr: bool = True, vhost: bool = False) -> Tap:
    """Open a new tap for a NIC. Takes the kernel's network lock: not for the event loop.

    Raises Unavailable where the kernel has no taps or vhost, Denied without the right to make one,
    Exhausted, or BadInput for a number of queues that there cannot be.
    """
    if not 1 <= queues <= _MOST_QUEUES:
        raise errors.BadInput(f"{nic.instance}: a NIC cannot have {queues} queues")
    with contextlib.ExitStack() as opened:
        fds = []
        name = ""
        for number in range(queues):
            fd = _open(_TUN, opened)
            flags = _TAP | _NO_PI
            features = _features(fd)
            if vnet_hdr:
                flags |= _VNET_HDR & features
            if queues > 1:
                if not features & _MULTI_QUEUE:
                    raise errors.Unavailable("this kernel's taps have one queue only")
                flags |= _MULTI_QUEUE
            try:
                name = _attach(fd, name, flags) if number else _create(fd, nic, flags)
            except OSError as error:
                raise _understood(error, f"{nic.instance}: a tap cannot be made") from error
            fds.append(fd)
        vhosts = [_open(_VHOST, opened) for _ in range(queues if vhost else 0)]
        opened.pop_all()
    return Tap(name, tuple(fds), tuple(vhosts))


def is_name(name: str) -> bool:
    """Tell whether an interface of that name is a guest's tap, as far as a name can tell."""
    return name.startswith(_PREFIXES)


def is_own(nic: nics.Nic, name: str) -> bool:
    """Tell whether a tap has its NIC's name, which no other NIC's tap had or will have."""
    return name in _names(nic)[:-1]


def _names(nic: nics.Nic) -> tuple[str, ...]:
    if nic.is_for_communication:
        return ("gnt.com.%d",)
    digits = "".join(c for c in nic.uuid.lower() if c in "0123456789abcdef")
    own = ("tap" + digits[:_UUID_DIGITS],) if len(digits) >= _UUID_DIGITS else ()
    return (*own, "tap%d")


def _create(fd: int, nic: nics.Nic, flags: int) -> str:
    """Make a tap that was not there before; return its name."""
    names = _names(nic)
    for name in names[:-1]:
        try:
            return _attach(fd, name, flags | _EXCLUSIVE)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
    return _attach(fd, names[-1], flags | _EXCLUSIVE)


def _attach(fd: int, name: str, flags: int) -> str:
    answer = fcntl.ioctl(fd, _TUNSETIFF, _REQUEST.pack(name.encode(), flags))
    return bytes(_REQUEST.unpack(answer)[0]).rstrip(b"\0").decode()


def _features(fd: int) -> int:
    answer = fcntl.ioctl(fd, _TUNGETFEATURES, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


def _open(path: str, opened: contextlib.ExitStack) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _understood(error, f"{path} cannot be opened") from error
    opened.callback(os.close, fd)
    return fd


def _understood(error: OSError, what: str) -> errors.Failure:
    said = f"{what}: {error.strerror}"
    if error.errno in _EXHAUSTED:
        return errors.Exhausted(said)
    if error.errno in {errno.EPERM, errno.EACCES}:
        return errors.Denied(said)
    return errors.Unavailable(said)
