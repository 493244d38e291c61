"""Handing requests to the master daemon of this node, for daemons that stand by on other nodes.

Only to one that leads: the socket is there only while it does, and so no request ever goes round in
a circle. How many are under way at a time is bounded, for each holds a place of a client's; a
further one is told so, and was not begun.
"""

import asyncio
from pathlib import Path
from typing import Final

from pyganeti.wire import forwarding, luxi, noderpc

_PIECE: Final = 256 * 1024
_LARGE: Final = 64 * 1024
"""Bytes from which on packing is left to a thread."""


class Door:
    """The way to the leading master daemon, for at most so many at a time."""

    def __init__(self, socket: Path, most: int) -> None:
        self._socket = socket
        self._most = most
        self._count = 0

    async def ask(self, request: bytes, patience: float) -> forwarding.Handed:
        """Have a request answered; say what became of it, whatever that is."""
        if self._count >= self._most:
            return forwarding.Handed(fate="busy", why="too many requests are being handed on")
        self._count += 1
        try:
            return await self._ask(request, patience)
        finally:
            self._count -= 1

    async def _ask(self, request: bytes, patience: float) -> forwarding.Handed:
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return forwarding.Handed(fate="absent", why="no master daemon leads here")
        except OSError as error:
            return forwarding.Handed(fate="absent", why=f"{self._socket}: {error.strerror}")
        try:
            async with asyncio.timeout(patience):
                writer.write(request + luxi.END)
                await writer.drain()
                answer = await _answer(reader)
        except TimeoutError:
            return forwarding.Handed(fate="broken", why=f"it has not answered for {patience:g} s")
        except OSError as error:
            return forwarding.Handed(fate="broken", why=f"it went away: {error.strerror or error}")
        finally:
            writer.close()
        if answer is None:
            return forwarding.Handed(fate="broken", why="it went away before it answered")
        if len(answer) > _LARGE:
            blob = await asyncio.to_thread(noderpc.encode_blob, answer)
        else:
            blob = noderpc.encode_blob(answer)
        return forwarding.Handed(fate="answered", answer=blob)


async def _answer(reader: asyncio.StreamReader) -> bytes | None:
    """Return the answer; None if none comes, or one that does not end."""
    splitter = luxi.Splitter(luxi.ANSWER_LIMIT)
    while piece := await reader.read(_PIECE):
        for answer in splitter.feed(piece):
            return None if answer is None else bytes(answer)
    return None
