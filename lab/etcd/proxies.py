"""A line between a client and a member of etcd that loses answers, holds questions back, is cut.

    async with proxies.line(etcd.member) as line:
        …                       # a client at line.endpoint
        line.deafen()           # what is asked arrives; no answer comes back
        line.hold()             # what is asked is kept, until…
        await line.release()    # …it arrives, late
        line.heal()

For whatever can become of a request on its way. It runs in the loop of whoever uses it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from lab.etcd import members

_PIECE: Final = 1 << 16
_PATIENCE: Final = 5.0
_SOON: Final = 0.3


class Line:
    """One line, to any number of connections."""

    def __init__(self, member: members.Member) -> None:
        self._member = member
        self._is_deaf = False
        self._is_held = False
        self._is_cut = False
        self._ends: set[_End] = set()
        self.port = 0
        self.answers_lost = 0
        """Pieces of answers that arrived here and went no further."""

    @property
    def endpoint(self) -> str:
        """Where a client reaches the member by way of this line."""
        return f"http://127.0.0.1:{self.port}"

    def deafen(self) -> None:
        """Let questions arrive, and lose what is answered."""
        self._is_deaf = True

    def hold(self) -> None:
        """Keep what is asked from now on."""
        self._is_held = True

    def cut(self) -> None:
        """End all connections, and take no more."""
        self._is_cut = True
        self._drop()

    def heal(self) -> None:
        """Be a line again; connections that have lost something end."""
        was_hurt = self._is_deaf or self._is_held
        self._is_deaf = self._is_held = self._is_cut = False
        if was_hurt:
            self._drop()

    async def held(self) -> None:
        """Wait until something is kept."""
        async with asyncio.timeout(_PATIENCE):
            while not any(end.kept for end in self._ends):  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.005)

    async def lost(self, count: int = 1, *, within: float = _PATIENCE) -> None:
        """Wait until answers were lost."""
        async with asyncio.timeout(within):
            while self.answers_lost < count:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.005)

    async def release(self) -> None:
        """Have what was kept first on each connection arrive, piece by piece until it is answered.

        What came after, such as the word that nobody waits any more, is thrown away.
        """
        self._is_deaf = True
        for end in list(self._ends):
            before = self.answers_lost
            for piece in end.kept:
                end.server.write(piece)
                await end.server.drain()
                with contextlib.suppress(TimeoutError):
                    await self.lost(before + 1, within=_SOON)
                    break

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if self._is_cut:
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._member.client_port)
        end = _End(writer, back)
        self._ends.add(end)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ask(reader, end))
                tasks.create_task(self._answer(there, end))
        except* OSError:
            pass
        finally:
            self._ends.discard(end)
            end.close()

    async def close(self) -> None:
        """End all connections."""
        self._drop()

    def _drop(self) -> None:
        for end in self._ends:
            end.close()

    async def _ask(self, reader: asyncio.StreamReader, end: "_End") -> None:
        while piece := await reader.read(_PIECE):
            if self._is_held:
                end.kept.append(piece)
                continue
            end.server.write(piece)
            await end.server.drain()
        if not self._is_held:
            end.close()

    async def _answer(self, reader: asyncio.StreamReader, end: "_End") -> None:
        while piece := await reader.read(_PIECE):
            if self._is_deaf:
                self.answers_lost += 1
                continue
            end.client.write(piece)
            await end.client.drain()
        end.close()


class _End:
    """A connection's two writing ends."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.kept: list[bytes] = []

    def close(self) -> None:
        self.client.close()
        self.server.close()


@contextlib.asynccontextmanager
async def line(member: members.Member) -> AsyncIterator[Line]:
    """Lay a line to a member without TLS on this machine."""
    laid = Line(member)
    server = await asyncio.start_server(laid.serve, "127.0.0.1", 0)
    laid.port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield laid
        finally:
            server.close()
            await laid.close()
