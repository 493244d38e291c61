"""How long clients may take, with less patience than the daemon has; on sockets without TLS."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from pyganeti.base import paths
from pyganeti.noded import calls, fencing
from pyganeti.noded import node as nodes
from pyganeti.noded.rpc import dispatch, listening, server

_NODE = cast("nodes.Node", object())
_HEAD = b"POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
_IDLE = 0.3
_BODY = 0.8


async def _version(_node: nodes.Node) -> int:
    return 5


async def _delay(_node: nodes.Node, seconds: float) -> None:
    await asyncio.sleep(seconds)


@contextlib.asynccontextmanager
async def _serving(max_clients: int = 20) -> AsyncIterator[int]:
    table = calls.Table([[calls.Call("version", _version), calls.Call("test_delay", _delay)]])
    taken = listening.open_socket("127.0.0.1", 0)
    port: int = taken.getsockname()[1]
    serving = server.Server(
        dispatch.Dispatcher(table, _NODE),
        admitted=None,
        fence=fencing.Fence(paths.Paths(Path("/nonexistent"), "node1"), "node1"),
        secured=lambda: None,
        max_clients=max_clients,
        idle=_IDLE,
        body_patience=_BODY,
    )
    serving.start(taken)
    try:
        yield port
    finally:
        await serving.close(0.1)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the other side ends it."""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
    return b""


async def _drip(writer: asyncio.StreamWriter, piece: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(_IDLE / 8)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [(b"", b""), (b"POST /ver", b""), (_HEAD % 10, b"HTTP/1.1 408 "), (_HEAD % 9 + b"[", b"408 ")],
)
async def test_who_says_nothing_more_is_dropped(sent: bytes, answer: bytes) -> None:
    async with _serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        began = time.monotonic()
        said = await _rest(reader)
        assert answer in said
        assert time.monotonic() - began > _IDLE / 2
        writer.close()


async def test_a_header_that_drips_without_end_is_dropped() -> None:
    async with _serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /version HTTP/1.1\r\nX: ")
        dripping = asyncio.create_task(_drip(writer, b"x"))
        assert b" 200 " not in await _rest(reader)
        dripping.cancel()
        writer.close()


async def test_a_body_that_drips_without_end_is_refused() -> None:
    async with _serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_HEAD % 100_000)
        began = time.monotonic()
        dripping = asyncio.create_task(_drip(writer, b" "))
        assert b" 200 " not in await _rest(reader)
        assert time.monotonic() - began >= _BODY * 0.9
        dripping.cancel()
        writer.close()


async def test_a_call_may_take_longer_than_a_client_may_be_silent() -> None:
    async with _serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b"[%.1f]" % (_IDLE * 3)
        writer.write(_HEAD.replace(b"version", b"test_delay") % len(body) + body)
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_connections_above_the_limit_are_served_as_others_go() -> None:
    async with _serving(max_clients=1) as port:
        first = await asyncio.open_connection("127.0.0.1", port)
        first[1].write(_HEAD.replace(b"version", b"test_delay") % 5 + b"[0.3]")
        waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        for _, writer in waiting:
            writer.write(_HEAD.replace(b"Host", b"Connection: close\r\nHost") % 2 + b"[]")
        assert await _rest(first[0])
        first[1].close()
        for reader, writer in waiting:
            assert (await _rest(reader)).endswith(b"[true,5]")
            writer.close()


async def test_one_who_only_connects_keeps_nobody_out() -> None:
    async with _serving(max_clients=1) as port:
        with socket.create_connection(("127.0.0.1", port)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_HEAD.replace(b"Host", b"Connection: close\r\nHost") % 2 + b"[]")
            assert (await _rest(reader)).endswith(b"[true,5]")
            writer.close()
