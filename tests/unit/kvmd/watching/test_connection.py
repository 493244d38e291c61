"""One connection over real sockets: what is told when the peer does as it should, and otherwise."""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pyganeti.base import poller as pollers
from pyganeti.kvmd.watching import connection
from pyganeti.model import evidence

GREETING = (
    b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""},'
    b' "capabilities": ["oob"]}}\r\n'
)
NOISE = b'{"event": "RTC_CHANGE", "data": {"offset": 1}}\r\n'
NAME = "web1.kvmd"


class Owner:
    """Keeps what it is told, in order; `said` waits for a kind of it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.news = asyncio.Event()

    def _tell(self, kind: str, what: object) -> None:
        self.told.append((kind, what))
        self.news.set()

    def on_attached(self, one: connection.Connection, /) -> None:
        self._tell("attached", one.version)

    def on_status(self, one: connection.Connection, status: str, /) -> None:
        self._tell("status", status)

    def on_event(self, one: connection.Connection, event: evidence.QmpEvent, /) -> None:
        self._tell("event", event.name)

    def on_garbage(self, one: connection.Connection, reason: str, /) -> None:
        self._tell("garbage", reason)

    def on_closed(
        self, one: connection.Connection, reason: connection.Reason, detail: str, /
    ) -> None:
        assert not one.is_open
        self._tell("closed", reason)

    async def said(self, kind: str) -> object:
        async with asyncio.timeout(10):
            while not (found := [what for told, what in self.told if told == kind]):
                self.news.clear()
                await self.news.wait()
        return found[0]

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]


class Qemu:
    """The other side: a real listening socket that speaks as the test tells it to."""

    def __init__(self, directory: int, name: str = NAME, backlog: int = 5) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.settimeout(0)
        self.listener.bind(f"/proc/self/fd/{directory}/{name}")
        if backlog:
            self.listener.listen(backlog)
        self.client: socket.socket | None = None

    async def _accepted(self) -> socket.socket:
        if self.client is None:
            self.client, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        return self.client

    async def say(self, data: bytes) -> None:
        async with asyncio.timeout(10):
            await asyncio.get_running_loop().sock_sendall(await self._accepted(), data)

    async def hear(self) -> bytes:
        try:
            async with asyncio.timeout(10):
                return await asyncio.get_running_loop().sock_recv(await self._accepted(), 65536)
        except ConnectionResetError:
            return b""

    async def attach(self) -> None:
        await self.say(GREETING)
        assert b"qmp_capabilities" in await self.hear()
        await self.say(b'{"return": {}, "id": "capabilities"}\r\n')
        assert b"query-status" in await self.hear()
        await self.say(b'{"return": {"status": "running"}, "id": "status"}\r\n')
        assert b"migrate-set-capabilities" in await self.hear()
        await self.say(b'{"return": {}, "id": "migration-events"}\r\n')

    def close(self) -> None:
        self.listener.close()
        if self.client is not None:
            self.client.close()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture
async def poller() -> AsyncIterator[pollers.Poller]:
    one = pollers.Poller(asyncio.get_running_loop())
    yield one
    one.close()


@pytest.fixture
def qemu(directory: int) -> Iterator[Qemu]:
    with contextlib.closing(Qemu(directory)) as one:
        yield one


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def opened(
    poller: pollers.Poller, directory: int, owner: Owner, qemu: Qemu
) -> Iterator[connection.Connection]:
    with contextlib.closing(connection.Connection.open(poller, directory, NAME, owner)) as one:
        yield one


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_attaches_and_tells_the_status(
    opened: connection.Connection, qemu: Qemu, owner: Owner, tmp_path: Path
) -> None:
    assert not opened.is_greeted
    await qemu.attach()
    await owner.said("status")
    assert owner.told == [("attached", "7.2.22"), ("status", "running")]
    assert opened.is_attached
    assert opened.pid == os.getpid()
    found = (tmp_path / NAME).stat()
    assert (opened.device, opened.inode, opened.mtime_ns) == (
        found.st_dev,
        found.st_ino,
        found.st_mtime_ns,
    )


async def test_tells_the_events_before_the_end(
    opened: connection.Connection, qemu: Qemu, owner: Owner
) -> None:
    await qemu.attach()
    await qemu.say(NOISE * 1000 + b'{"event": "SHUTDOWN"}\r\n{"event": "STOP"}')
    qemu.close()
    assert await owner.said("closed") is connection.Reason.ENDED
    assert owner.kinds == ["attached", "status", "event", "event", "closed"]
    assert opened.ignored == 1000


@pytest.mark.parametrize(
    ("last", "was_cut"), [(b"", False), (b'{"event": "GUE', True), (b'{"return": {}}', False)]
)
async def test_an_end_in_the_middle_of_a_line_is_known(
    poller: pollers.Poller, directory: int, qemu: Qemu, owner: Owner, last: bytes, *, was_cut: bool
) -> None:
    one = connection.Connection.open(poller, directory, NAME, owner)
    await qemu.attach()
    await qemu.say(last)
    qemu.close()
    await owner.said("closed")
    assert one.was_cut == was_cut


async def test_events_sent_before_a_peer_dies_with_our_command_unread_are_told(
    opened: connection.Connection, qemu: Qemu, owner: Owner
) -> None:
    await qemu.attach()
    assert opened.is_open
    await owner.said("status")
    opened.query_status()  # stays unread, so that the end is a reset
    await qemu.say(b'{"event": "SHUTDOWN"}\r\n')
    qemu.close()
    opened.quit()  # cannot be sent any more
    assert await owner.said("closed") is connection.Reason.ENDED
    assert owner.kinds == ["attached", "status", "event", "closed"]


async def test_quit_reaches_qemu_once(
    opened: connection.Connection, qemu: Qemu, owner: Owner
) -> None:
    assert not opened.quit()
    await qemu.attach()
    await owner.said("status")
    assert opened.quit()
    assert opened.quit()
    assert (await qemu.hear()).count(b'"quit"') == 2  # the command and its identity
    qemu.close()
    await owner.said("closed")
    assert not opened.quit()


async def test_a_busy_qemu_is_waited_for(
    poller: pollers.Poller, directory: int, owner: Owner, qemu: Qemu
) -> None:
    other = socket.socket(socket.AF_UNIX)
    other.connect(f"/proc/self/fd/{directory}/{NAME}")
    with (
        contextlib.closing(other),
        contextlib.closing(connection.Connection.open(poller, directory, NAME, owner)) as one,
    ):
        await qemu.say(GREETING)
        assert other.recv(1000) == GREETING
        assert not one.is_greeted
        assert qemu.client
        qemu.client.close()
        qemu.client = None
        await qemu.attach()
        await owner.said("attached")


async def test_between_bind_and_listen_it_is_refused(
    poller: pollers.Poller, directory: int, owner: Owner
) -> None:
    with contextlib.closing(Qemu(directory, backlog=0)) as qemu:
        with pytest.raises(connection.Refused) as caught:
            connection.Connection.open(poller, directory, NAME, owner)
        assert caught.value.reason is connection.Reason.REFUSED
        qemu.listener.listen(1)
        connection.Connection.open(poller, directory, NAME, owner).close()
    assert owner.told == []


async def test_a_full_backlog_does_not_block(
    poller: pollers.Poller, directory: int, owner: Owner
) -> None:
    with contextlib.closing(Qemu(directory, backlog=1)), contextlib.ExitStack() as made:

        def _fill() -> None:
            for _ in range(10):
                made.callback(connection.Connection.open(poller, directory, NAME, owner).close)

        with pytest.raises(connection.Refused) as caught:
            _fill()
        assert caught.value.reason is connection.Reason.BACKLOG


@pytest.mark.parametrize("kind", ["file", "directory", "fifo", "symlink", "dangling", "datagram"])
async def test_what_is_no_qmp_socket_is_refused(
    kind: str, poller: pollers.Poller, directory: int, owner: Owner, tmp_path: Path
) -> None:
    path = tmp_path / NAME
    expected = connection.Reason.NOT_A_SOCKET
    with contextlib.ExitStack() as made:
        match kind:
            case "file":
                path.write_bytes(GREETING)
            case "directory":
                path.mkdir()
            case "fifo":
                os.mkfifo(path)
            case "symlink":
                made.enter_context(contextlib.closing(Qemu(directory, "other.kvmd")))
                path.symlink_to("other.kvmd")
            case "dangling":
                path.symlink_to("nowhere")
            case _:
                bound = made.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
                bound.bind(f"/proc/self/fd/{directory}/{NAME}")
                expected = connection.Reason.FAILED
        before = _open_descriptors()
        with pytest.raises(connection.Refused) as caught:
            connection.Connection.open(poller, directory, NAME, owner)
        assert caught.value.reason is expected
        assert _open_descriptors() == before


async def test_a_missing_socket_is_refused(
    poller: pollers.Poller, directory: int, owner: Owner
) -> None:
    with pytest.raises(connection.Refused) as caught:
        connection.Connection.open(poller, directory, NAME, owner)
    assert caught.value.reason is connection.Reason.MISSING


async def test_a_forbidden_socket_is_refused(
    poller: pollers.Poller, directory: int, owner: Owner, qemu: Qemu, tmp_path: Path
) -> None:
    (tmp_path / NAME).chmod(0)
    if os.access(tmp_path / NAME, os.W_OK):
        os.seteuid(65534)
    try:
        with pytest.raises(connection.Refused) as caught:
            connection.Connection.open(poller, directory, NAME, owner)
    finally:
        os.seteuid(os.getuid())
    assert caught.value.reason is connection.Reason.DENIED


async def test_without_descriptors_it_is_refused_and_none_is_lost(
    poller: pollers.Poller, directory: int, owner: Owner, qemu: Qemu
) -> None:
    before = _open_descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    try:
        for spare in range(2):
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + spare, hard))
            with pytest.raises(connection.Refused) as caught:
                connection.Connection.open(poller, directory, NAME, owner)
            assert caught.value.reason is connection.Reason.EXHAUSTED
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert _open_descriptors() == before
    connection.Connection.open(poller, directory, NAME, owner).close()


@pytest.mark.parametrize(
    "name", ["n" * 255, "gr\u00fc\u00df \U0001f600\n.kvmd", "not-utf8-\udcff.kvmd"]
)
async def test_odd_and_long_names_work(
    name: str, poller: pollers.Poller, directory: int, owner: Owner, tmp_path: Path
) -> None:
    with contextlib.closing(Qemu(directory, "short")) as qemu:
        (tmp_path / "short").rename(tmp_path / name)
        with contextlib.closing(connection.Connection.open(poller, directory, name, owner)) as one:
            await qemu.attach()
            await owner.said("attached")
            assert one.name == name


async def test_a_wrong_greeting_ends_it(
    opened: connection.Connection, qemu: Qemu, owner: Owner
) -> None:
    await qemu.say(b"SSH-2.0-OpenSSH\r\n" + GREETING)
    assert await owner.said("closed") is connection.Reason.WRONG_GREETING
    assert owner.kinds == ["closed"]


async def test_a_refused_negotiation_ends_it(
    opened: connection.Connection, qemu: Qemu, owner: Owner
) -> None:
    await qemu.say(GREETING + b'{"error": {"desc": "no"}, "id": "capabilities"}\r\n')
    assert await owner.said("closed") is connection.Reason.NEGOTIATION


async def test_garbage_is_told_once_and_the_rest_goes_on(
    opened: connection.Connection, qemu: Qemu, owner: Owner
) -> None:
    await qemu.attach()
    await qemu.say(b"{\n\x00\n" * 20_000 + b'{"event": "STOP"}\r\n')
    await owner.said("event")
    assert owner.kinds == ["attached", "status", "garbage", "event"]
    assert opened.garbage == 40_000


async def test_what_cannot_be_sent_at_once_is_sent_later(
    poller: pollers.Poller, owner: Owner
) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    theirs.settimeout(0)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += ours.send(b"\n" * 100)
    one = connection.Connection(poller, owner, NAME, os.fstat(ours.fileno()), ours)
    with contextlib.closing(theirs), contextlib.closing(one):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(theirs, GREETING + b'{"return": {}, "id": "capabilities"}\r\n')
        await owner.said("attached")
        heard = b""
        async with asyncio.timeout(10):
            while b"query-status" not in heard:
                heard += await loop.sock_recv(theirs, 65536)
        assert heard.lstrip(b"\n").startswith(b'{"execute":"qmp_capabilities"')
        await loop.sock_sendall(theirs, b'{"return": {"status": "paused"}, "id": "status"}\r\n')
        assert await owner.said("status") == "paused"


async def test_after_close_nothing_is_told(
    opened: connection.Connection, qemu: Qemu, owner: Owner
) -> None:
    await qemu.attach()
    await owner.said("status")
    await qemu.say(b'{"event": "STOP"}\r\n')
    opened.close()
    opened.close()
    opened.query_status()
    assert not opened.is_attached
    assert await qemu.hear() == b""
    assert owner.kinds == ["attached", "status"]


class Leaver(Owner):
    """Leaves at the first event."""

    def on_event(self, one: connection.Connection, event: evidence.QmpEvent, /) -> None:
        super().on_event(one, event)
        one.close()


async def test_an_owner_may_close_from_within(
    poller: pollers.Poller, directory: int, qemu: Qemu
) -> None:
    owner = Leaver()
    with contextlib.closing(connection.Connection.open(poller, directory, NAME, owner)):
        await qemu.attach()
        await qemu.say(b'{"event": "STOP"}\r\n{"event": "RESUME"}\r\n')
        await owner.said("event")
        assert await qemu.hear() == b""
        assert owner.kinds == ["attached", "status", "event"]


class Failing(Owner):
    """Raises at the first event."""

    def on_event(self, one: connection.Connection, event: evidence.QmpEvent, /) -> None:
        raise RuntimeError("boom")


async def test_an_owner_that_raises_is_told_of_the_fault_and_others_go_on(
    poller: pollers.Poller, directory: int, qemu: Qemu
) -> None:
    failing, other = Failing(), Owner()
    with (
        contextlib.closing(Qemu(directory, "web2.kvmd")) as second,
        contextlib.closing(connection.Connection.open(poller, directory, NAME, failing)) as one,
        contextlib.closing(connection.Connection.open(poller, directory, "web2.kvmd", other)),
    ):
        await qemu.attach()
        await qemu.say(b'{"event": "STOP"}\r\n')
        assert await failing.said("closed") is connection.Reason.FAULT
        assert not one.is_open
        await second.attach()
        await other.said("status")


async def test_a_flood_does_not_keep_others_waiting(
    opened: connection.Connection,
    qemu: Qemu,
    owner: Owner,
    poller: pollers.Poller,
    directory: int,
) -> None:
    await qemu.attach()
    await owner.said("status")
    assert qemu.client
    other = Owner()
    with (
        contextlib.closing(Qemu(directory, "web2.kvmd")) as second,
        contextlib.closing(connection.Connection.open(poller, directory, "web2.kvmd", other)),
    ):
        await second.attach()
        await other.said("status")
        qemu.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += qemu.client.send(NOISE * 100)
        before = opened.ignored
        await second.say(b'{"event": "STOP"}\r\n')
        await other.said("event")
        assert opened.ignored - before < sent // len(NOISE)
