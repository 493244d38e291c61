"""A guest's serial port, from outside: telling it what to do, and hearing what it says.

For guests whose qemu somebody else started; `lab.qemus.Qemu` has its own for those that it starts.
"""

import contextlib
import itertools
import socket
import string
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lab import guests, qemus

PATIENCE: Final = 15.0
_PROBE: Final = 0.2
_PAUSE: Final = 0.01


class Console:
    """A connection to one guest; a context manager. Qemu serves one at a time."""

    def __init__(self, path: Path, *, within: float = PATIENCE) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Each another letter, so that a late echo of the one before is not taken for its own.
        self._probes = itertools.cycle(string.ascii_lowercase)
        deadline = time.monotonic() + within
        while True:
            try:
                self._socket.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() >= deadline:
                    self._socket.close()
                    raise
                time.sleep(_PAUSE)
            else:
                break

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the port to others."""
        self._socket.close()

    def wait_up(self, *, within: float = PATIENCE) -> Self:
        """Wait until the guest has booted and listens."""
        deadline = time.monotonic() + within
        while self._hears(next(self._probes), 0, _PROBE) is None:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"the guest has not booted within {within} s")
        return self

    def say(self, letter: str, *, within: float = PATIENCE) -> None:
        """Send a `guests.Command`, and wait for its echo, or for the end of the qemu."""
        if self._hears(letter, 0, within) is None:
            raise TimeoutError(f"the guest does not echo {letter!r} within {within} s")

    def count(self, *, within: float = PATIENCE) -> int:
        """Have the guest count once more; return its number."""
        heard = self._hears(guests.Command.COUNT, 1, within)
        if not heard:
            raise TimeoutError(f"the guest does not count within {within} s")
        return heard[0]

    def _hears(self, letter: str, more: int, within: float) -> bytes | None:
        """Send a letter; return what followed its echo, so many bytes, None if nothing came."""
        deadline = time.monotonic() + within
        wanted, heard = letter.encode(), b""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            self._socket.sendall(wanted)
            while len(after := heard.partition(wanted)[2]) < more or wanted not in heard:
                left = deadline - time.monotonic()
                if left <= 0 or not qemus.readable(self._socket.fileno(), left):
                    return None
                piece = self._socket.recv(4096)
                if not piece:
                    break
                heard += piece
            return after[:more]
        return b""
