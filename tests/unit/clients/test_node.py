"""What a caller learns of nodes that are down, slow, broken or something else altogether."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from pyganeti.base import errors
from pyganeti.clients import node as clients
from pyganeti.wire import callpatience, epochs

_HERE = "127.0.0.1"
_HEAD = b"HTTP/1.1 200 OK\r\n"


@contextlib.asynccontextmanager
async def _answering(said: bytes, *, hangs: bool = False) -> AsyncIterator[int]:
    """Say this to whoever asks, whatever he asked, and hang up; the port is yielded."""
    asked: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.add(asyncio.current_task())  # type: ignore[arg-type]
        with contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            await writer.drain()
            if hangs:
                await asyncio.sleep(60)

    server = await asyncio.start_server(answer, _HERE, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        await server.wait_closed()


def _whole(body: bytes) -> bytes:
    return _HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (_whole(b'[false,"the disk is gone"]'), errors.Refused),
        (_whole(b"[true"), errors.Damaged),
        (_whole(b'{"success":true}'), errors.Damaged),
        (_whole(b"[true,1,2]"), errors.Damaged),
        (_whole(b"<html>a proxy's</html>"), errors.Damaged),
        (b"SSH-2.0-OpenSSH_9.2\r\n", errors.Damaged),
        (_HEAD + b"Content-Length: nonsense\r\n\r\n", errors.Damaged),
        (_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n", errors.Damaged),
        (b"", errors.Unavailable),
        (_HEAD, errors.Unavailable),
        (_HEAD + b"Content-Length: 100\r\n\r\n[true", errors.Unavailable),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", errors.Denied),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", errors.BadInput),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", errors.Unavailable),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", errors.Unavailable),
    ],
)
async def test_each_kind_of_failure_has_its_own_error(
    said: bytes, kind: type[errors.Failure]
) -> None:
    async with _answering(said) as port, clients.Caller(None, port=port) as caller:
        with pytest.raises(errors.Failure) as raised:
            await caller.call(_HERE, "version", timeout=10)
        assert type(raised.value) is kind, raised.value


async def test_a_refusal_that_names_a_later_master_is_known_from_others() -> None:
    body = b'[false,"another is the master"]'
    said = _whole(body).replace(b"\r\n\r\n", b"\r\nX-Ganeti-Epoch: 7 node2\r\n\r\n", 1)
    async with _answering(said) as port, clients.Caller(None, port=port) as caller:
        with pytest.raises(clients.Deposed, match="another is the master") as raised:
            await caller.call(_HERE, "version", timeout=10)
    assert raised.value.known == epochs.of(7, "node2")


async def test_an_epoch_that_makes_no_sense_is_nonsense() -> None:
    said = _whole(b"[false,1]").replace(b"\r\n\r\n", b"\r\nX-Ganeti-Epoch: soon\r\n\r\n", 1)
    async with _answering(said) as port, clients.Caller(None, port=port) as caller:
        with pytest.raises(errors.Damaged):
            await caller.call(_HERE, "version", timeout=10)


async def test_one_that_is_not_there_is_down() -> None:
    with socket.create_server((_HERE, 0)) as gone:
        port = gone.getsockname()[1]
    async with clients.Caller(None, port=port) as caller:
        with pytest.raises(clients.Unreached) as said:
            await caller.call(_HERE, "version", timeout=10)
    assert str(said.value).startswith(f"{_HERE} does not take connections: ")
    assert "ssl" not in str(said.value)


@pytest.mark.parametrize("address", ["", "no such name", "a/b", "node.invalid", "[::1"])
async def test_what_is_no_address_is_an_error_too(address: str) -> None:
    async with clients.Caller(None, port=1) as caller:
        with pytest.raises((errors.BadInput, errors.Unavailable)):
            await caller.call(address, "version", timeout=10)


async def test_a_slow_one_holds_up_nobody_but_itself() -> None:
    async with (
        _answering(b"", hangs=True) as mute,
        _answering(_whole(b"[true,5]")) as well,
        clients.Caller(None, port=well) as caller,
        clients.Caller(None, port=mute) as other,
    ):
        slow = asyncio.create_task(other.call_each([_HERE], "version", timeout=1.0))
        told = await caller.call_each([_HERE, "127.0.0.2", _HERE], "version", timeout=10)
        assert not slow.done()
        assert told[_HERE] == 5
        assert list(told) == [_HERE, "127.0.0.2"], "each once, in the order asked"
        assert isinstance(told["127.0.0.2"], errors.Unavailable)
        assert isinstance((await slow)[_HERE], errors.Interrupted)


async def test_a_connection_is_used_again() -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                writer.write(_whole(b"[true,null]"))

    server = await asyncio.start_server(answer, _HERE, 0)
    async with server, clients.Caller(None, port=server.sockets[0].getsockname()[1]) as caller:
        for _ in range(5):
            await caller.call(_HERE, "version", timeout=10)
    assert connections == 1


async def test_calls_beyond_a_nodes_places_take_turns_on_the_same_connections() -> None:
    open_now = most = served = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most, served
        open_now += 1
        most = max(most, open_now)
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                served += 1
                writer.write(_whole(b"[true,null]"))
        open_now -= 1

    server = await asyncio.start_server(answer, _HERE, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, clients.Caller(None, port=port, places=3) as caller:
        await asyncio.gather(*(caller.call(_HERE, "version", timeout=10) for _ in range(30)))
    assert (served, most) == (30, 3)


@pytest.mark.parametrize(
    ("call", "seconds"),
    [
        ("version", 60),
        ("instance_start", 900),
        ("os_diagnose", 300),
        ("blockdev_wipe", 3600),
        ("instance_os_add", 86400),
        ("what_comes_later", 900),
    ],
)
def test_each_call_has_its_time(call: str, seconds: float) -> None:
    assert callpatience.of(call) == seconds
