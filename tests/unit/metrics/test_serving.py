import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

import pytest

from lab import journals, scraping
from pyganeti.metrics import address as addresses
from pyganeti.metrics import serving

_LOCAL = addresses.Address("127.0.0.1", 0)


class _Page:
    def __init__(self, text: bytes = b"a 1\n") -> None:
        self.content = text
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def text(self) -> bytes:
        self.asked.set()
        await self.gate.wait()
        return self.content


@contextlib.asynccontextmanager
async def _serving(
    page: _Page, patience: float = 20.0, most: int = 8
) -> AsyncIterator[addresses.Address]:
    server = serving.Server(page, "text/plain", patience=patience, most=most)
    await server.start(_LOCAL)
    assert server.address is not None
    try:
        yield server.address
    finally:
        await server.close()


async def test_the_page_is_served_and_the_connection_closed() -> None:
    async with _serving(_Page()) as address:
        assert await scraping.ask(address) == (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n"
            b"Connection: close\r\n\r\na 1\n"
        )


async def test_a_head_comes_without_the_body() -> None:
    async with _serving(_Page()) as address:
        answer = await scraping.ask(address, "HEAD /metrics?x=1 HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"Content-Length: 4\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET / HTTP/1.1", 404),
        ("POST /metrics HTTP/1.1", 405),
        ("GET /metrics", 400),
        ("GET /metrics HTTP/3", 400),
        ("\x00\xff", 400),
        ("GET /" + "x" * 10_000 + " HTTP/1.1", 431),
    ],
)
async def test_anything_else_is_refused_in_http(request_line: str, status: int) -> None:
    async with _serving(_Page()) as address:
        answer = await scraping.ask(address, f"{request_line}\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_client_that_says_nothing_is_left_in_time() -> None:
    async with _serving(_Page(), patience=0.05) as address:
        assert await scraping.ask(address, "GET /metr") == b""


async def test_a_client_that_takes_nothing_is_left_in_time() -> None:
    page = _Page(b"x" * 20_000_000)
    server = serving.Server(page, "text/plain", patience=0.1)
    await server.start(_LOCAL)
    assert server.address is not None
    with socket.create_connection((server.address.host, server.address.port)) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        await page.asked.wait()
        assert server.count == 1
        await journals.until(lambda: server.count == 0)
    await server.close()


async def test_many_silent_clients_keep_nobody_out() -> None:
    async with _serving(_Page(), most=3) as address:
        silent = [await asyncio.open_connection(address.host, address.port) for _ in range(10)]
        assert b"200 OK" in await scraping.ask(address)
        async with asyncio.timeout(10):
            assert await silent[0][0].read() == b""
        for _, writer in silent:
            writer.close()


async def test_a_port_that_is_taken_is_said_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with _serving(_Page()) as address:
        other = serving.Server(_Page(), "text/plain")
        with caplog.at_level(logging.WARNING):
            await other.start(address)
        assert other.address is None
        assert caplog.records[-1].getMessage().startswith("the figures cannot be had ")
        await other.close()


async def test_nothing_is_served_where_none_are_wanted() -> None:
    server = serving.Server(_Page(), "text/plain")
    await server.start(None)
    assert server.address is None
    await server.close()


async def test_the_end_does_not_wait_for_clients() -> None:
    page = _Page()
    page.gate.clear()
    async with asyncio.timeout(10), _serving(page) as address:
        asking = asyncio.create_task(scraping.ask(address))
        await page.asked.wait()
    assert await asking == b""
