"""Reads and writes what qemu-nbd shows: the content of a disk that is no plain file or device.

As much of the NBD protocol as that takes (doc/proto.md of the NetworkBlockDevice project): the
fixed newstyle handshake, simple replies, one request at a time, over a Unix socket. Python has no
kept library for it that pip can install.
"""

import socket
import struct
from typing import Final

from pyganeti.base import errors

_HELLO: Final = struct.Struct(">8s8sH")
_OPTION: Final = struct.Struct(">8sII")
_OPTION_REPLY: Final = struct.Struct(">QIII")
_EXPORT: Final = struct.Struct(">HQH")
_REQUEST: Final = struct.Struct(">IHHQQI")
_REPLY: Final = struct.Struct(">IIQ")

_INIT: Final = b"NBDMAGIC"
_I_HAVE: Final = b"IHAVEOPT"
_OPTION_MAGIC: Final = 0x3E889045565A9
_REQUEST_MAGIC: Final = 0x25609513
_REPLY_MAGIC: Final = 0x67446698

_FIXED: Final = 1
_GO: Final = 7
_ACK: Final = 1
_INFO: Final = 3
_INFO_EXPORT: Final = 0
_ERROR_BIT: Final = 1 << 31

_READ, _WRITE, _DISCONNECT, _FLUSH, _WRITE_ZEROES = 0, 1, 2, 3, 6
_CAN_FLUSH: Final = 1 << 2
_CAN_ZERO: Final = 1 << 6
_LONGEST: Final = 64 * 1024
_NO_SPACE: Final = 28


class Client:
    """One connection to a server that shows one disk; ``size`` is that disk's, in bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._offset = 0
        self.size, self._flags = self._shake_hands()

    def read_into(self, buffer: memoryview) -> int:
        """Read the next bytes, as many as the buffer holds; 0 at the end of the disk."""
        count = min(len(buffer), self.size - self._offset)
        if count:
            self._ask(_READ, self._offset, count)
            self._receive(buffer[:count])
            self._offset += count
        return count

    def write(self, data: memoryview) -> None:
        """Write the next bytes."""
        self._ask(_WRITE, self._offset, len(data), data)
        self._offset += len(data)

    def write_zeroes(self, count: int) -> bool:
        """Have the next bytes be zero; return False if the server cannot do that."""
        if not self._flags & _CAN_ZERO:
            return False
        self._ask(_WRITE_ZEROES, self._offset, count)
        self._offset += count
        return True

    def flush(self) -> None:
        """Have all that was written be on disk."""
        if self._flags & _CAN_FLUSH:
            self._ask(_FLUSH, 0, 0)

    def close(self) -> None:
        """Take leave, so that the server ends in order."""
        self._send(_REQUEST.pack(_REQUEST_MAGIC, 0, _DISCONNECT, 0, 0, 0))
        self._socket.close()

    def _shake_hands(self) -> tuple[int, int]:
        hello = _HELLO.unpack(self._exactly(_HELLO.size))
        if hello[:2] != (_INIT, _I_HAVE) or not hello[2] & _FIXED:
            raise errors.Damaged("what answers is no NBD server of today")
        wanted = struct.pack(">IH", 0, 0)  # the export without a name, no further information
        self._send(struct.pack(">I", _FIXED) + _OPTION.pack(_I_HAVE, _GO, len(wanted)) + wanted)
        found: tuple[int, int] | None = None
        while True:
            magic, option, kind, length = _OPTION_REPLY.unpack(self._exactly(_OPTION_REPLY.size))
            if magic != _OPTION_MAGIC or option != _GO or length > _LONGEST:
                raise errors.Damaged("the NBD server's answer makes no sense")
            data = self._exactly(length)
            if kind & _ERROR_BIT:
                raise errors.Unavailable(
                    f"the NBD server does not show the disk: {data.decode(errors='replace')}"
                )
            if kind == _INFO and length == _EXPORT.size:
                what, size, flags = _EXPORT.unpack(data)
                if what == _INFO_EXPORT:
                    found = size, flags
            if kind == _ACK:
                if found is None:
                    raise errors.Damaged("the NBD server does not tell the disk's size")
                return found

    def _ask(self, what: int, offset: int, count: int, data: memoryview | None = None) -> None:
        self._send(_REQUEST.pack(_REQUEST_MAGIC, 0, what, offset, offset, count))
        if data is not None:
            self._send(data)
        magic, code, cookie = _REPLY.unpack(self._exactly(_REPLY.size))
        if magic != _REPLY_MAGIC or cookie != offset:
            raise errors.Damaged("the NBD server's answer makes no sense")
        if code == _NO_SPACE:
            raise errors.Exhausted("no space is left for the disk")
        if code:
            raise errors.Unavailable(f"the disk cannot be read or written: error {code}")

    def _send(self, data: bytes | memoryview) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise errors.Unavailable(f"the NBD server is gone: {error.strerror}") from error

    def _exactly(self, count: int) -> bytes:
        data = bytearray(count)
        self._receive(memoryview(data))
        return bytes(data)

    def _receive(self, buffer: memoryview) -> None:
        while buffer:
            try:
                count = self._socket.recv_into(buffer)
            except OSError as error:
                raise errors.Unavailable(f"the NBD server is gone: {error.strerror}") from error
            if not count:
                raise errors.Unavailable("the NBD server has ended")
            buffer = buffer[count:]
