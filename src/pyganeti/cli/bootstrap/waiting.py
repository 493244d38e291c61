"""Waiting for a master that takes this machine in: who has the token may hand a bundle over.

The listener is there for a bounded time, at one address, with a certificate made for it. Until a
peer has proved that it has the token it may say four kilobytes in ten seconds; whoever proves it
wrongly is told and reported, and after a few of those nobody is listened to any more. A peer that
has the right token and breaks off, or whose bundle does not fit this machine, may come again. Once
a bundle is being applied there is no second one: the listener is closed, also because the node
daemon takes its port.
"""

import asyncio
import contextlib
import datetime as dt
import ssl
import tempfile
from collections.abc import Callable
from typing import Final

from pyganeti.base import certificates, errors
from pyganeti.wire import joining

_PROVING: Final = 10.0
"""Seconds that a peer has for TLS and the proof."""

_HANDING: Final = 60.0
"""Seconds that it has then for the bundle."""

_CLOSING: Final = 1.0
_MOST_WRONG: Final = 5
_MOST_AT_ONCE: Final = 8
_NAME: Final = "ganeti-node-join"

Take = Callable[[joining.Bundle], None]
Tell = Callable[[str], None]


class Waiting:
    """One time of waiting, for a node of this name."""

    def __init__(
        self,
        node: str,
        *,
        check: Take,
        take: Take,
        announce: Callable[[joining.Token], None],
        say: Tell,
    ) -> None:
        """``check`` raises a Failure for a bundle that cannot be taken, ``take`` makes the node.

        Both block. ``announce`` gets the token, once the machine listens.
        """
        self._node = node
        self._check = check
        self._take = take
        self._announce = announce
        self._say = say
        self._wrong = 0
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)
        self._taking = asyncio.Lock()
        self._is_applying = False
        self._ended: tuple[Exception | None] | None = None
        self._outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, address: str, port: int, patience: float) -> None:
        """Wait until a bundle has been taken.

        Raises Interrupted if nobody came in time, Denied if too many came without the token,
        Unavailable if the port cannot be had, or what taking the bundle raised.
        """
        made = await asyncio.to_thread(
            certificates.make_server, dt.datetime.now(dt.UTC), name=_NAME
        )
        context = _context(made)
        try:
            self._server = await asyncio.start_server(
                self._serve,
                address,
                port,
                ssl=context,
                ssl_handshake_timeout=_PROVING,
            )
        except OSError as error:
            raise errors.Unavailable(
                f"port {port} of {address} cannot be had: {error.strerror}; --port and --address"
                " say another"
            ) from error
        taken = self._server.sockets[0].getsockname()[1]
        _, certificate = certificates.halves(made)
        self._token = joining.Token.draw(
            address, taken, ssl.PEM_cert_to_DER_cert(certificate.decode())
        )
        try:
            self._announce(self._token)
            async with asyncio.timeout(patience):
                await asyncio.shield(self._outcome)
        except TimeoutError:
            if not self._is_applying:
                raise errors.Interrupted(
                    "nobody has come in time; nothing was changed, and the token is worth nothing"
                    " now"
                ) from None
            await self._outcome
        finally:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one peer, whoever it is."""
        peer = str((writer.get_extra_info("peername") or ("somebody",))[0])
        try:
            if self._places.locked():
                return
            async with self._places:
                await self._talk(reader, writer, peer)
        except (TimeoutError, OSError, EOFError, errors.Damaged) as error:
            self._say(f"{peer} broke off or spoke nonsense: {str(error) or 'it took too long'}")
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CLOSING):
                    await writer.wait_closed()
            self._settle()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str
    ) -> None:
        async with asyncio.timeout(_PROVING):
            greeting = joining.greet(self._node)
            writer.write(joining.framed(greeting))
            await writer.drain()
            proof = joining.decode(await _receive(reader, joining.SMALL), joining.Proof)
        if self._is_over():
            return
        if not joining.is_proof(self._token, greeting, proof):
            await self._refuse(writer, peer)
            return
        await _send(writer, joining.Answer(node=self._node))
        async with asyncio.timeout(_HANDING):
            body = await _receive(reader, joining.LARGE)
        async with self._taking:
            if self._is_over():
                return
            try:
                bundle = joining.decode(body, joining.Bundle)
                await asyncio.to_thread(self._check, bundle)
            except errors.Failure as error:
                self._say(f"{peer} has the token, but: {error}")
                await _send(writer, joining.Answer(node=self._node, error=str(error)))
                return
            await self._apply(bundle, writer)

    async def _apply(self, bundle: joining.Bundle, writer: asyncio.StreamWriter) -> None:
        self._server.close()
        self._is_applying = True
        failed: Exception | None = None
        try:
            await asyncio.to_thread(self._take, bundle)
        except (errors.Failure, OSError) as error:
            failed = error
        self._ended = (failed,)
        why = None if failed is None else str(failed)
        await _send(writer, joining.Answer(node=self._node, error=why))

    async def _refuse(self, writer: asyncio.StreamWriter, peer: str) -> None:
        self._wrong += 1
        self._say(f"{peer} does not have the token, and got nothing")
        if self._wrong >= _MOST_WRONG:
            self._ended = (
                errors.Denied(
                    f"{self._wrong} came without the token, the last from {peer}: nobody is"
                    " listened to any more; nothing was changed"
                ),
            )
        await _send(writer, joining.Answer(error="that is not the token of this machine"))

    def _is_over(self) -> bool:
        return self._ended is not None

    def _settle(self) -> None:
        """Have `run` go on if all is over; the peer with which it ended has its answer."""
        if self._ended is None or self._outcome.done():
            return
        [failed] = self._ended
        if failed is None:
            self._outcome.set_result(None)
        else:
            self._outcome.set_exception(failed)


def _context(made: certificates.Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    # The library takes keys from files alone; this one has no name that others could open.
    with tempfile.NamedTemporaryFile(prefix="join-", suffix=".pem") as file:
        file.write(made.pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def _send(writer: asyncio.StreamWriter, message: joining.Answer) -> None:
    writer.write(joining.framed(message))
    async with asyncio.timeout(_PROVING):
        await writer.drain()


async def _receive(reader: asyncio.StreamReader, most: int) -> bytes:
    prefix = await reader.readexactly(joining.LENGTH.size)
    return await reader.readexactly(joining.length(prefix, most))
