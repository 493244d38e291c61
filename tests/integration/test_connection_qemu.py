"""Connections to real qemus: what they say when they are left alone, quit, killed and migrated."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pyganeti.base import poller as pollers
from pyganeti.base import processes
from pyganeti.kvmd.watching import connection
from pyganeti.model import evidence

pytestmark = pytest.mark.qemu

_PATIENCE = 30.0


class Owner:
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.news = asyncio.Event()

    def _tell(self, what: object) -> None:
        self.told.append(what)
        self.news.set()

    def on_attached(self, one: connection.Connection, /) -> None:
        self._tell("attached")

    def on_status(self, one: connection.Connection, status: str, /) -> None:
        self._tell(status)

    def on_event(self, one: connection.Connection, event: evidence.QmpEvent, /) -> None:
        self._tell((event.name, event.detail, event.guest))

    def on_garbage(self, one: connection.Connection, reason: str, /) -> None:
        self._tell(f"garbage: {reason}")

    def on_closed(
        self, one: connection.Connection, reason: connection.Reason, detail: str, /
    ) -> None:
        self._tell(reason)

    async def said(self, what: object) -> None:
        async with asyncio.timeout(_PATIENCE):
            while what not in self.told:
                self.news.clear()
                await self.news.wait()


class Qemu:
    """A real qemu that is never set going, with a socket for us and one for its administrator."""

    def __init__(self, directory: Path, name: str, *arguments: str) -> None:
        self.socket = f"{name}.kvmd"
        self.other = directory / f"{name}.qmp"
        command = ["timeout", "-k", "1", "50", "qemu-system-x86_64", "-accel", "tcg", "-M", "pc"]
        command += ["-nodefaults", "-display", "none", "-m", "16", "-S"]
        for path in (directory / self.socket, self.other):
            command += ["-qmp", f"unix:{path},server=on,wait=off"]
        self.process = subprocess.Popen([*command, *arguments], start_new_session=True)

    def ask(self, command: str, arguments: object = None) -> object:
        """Say one command as the administrator, on a socket of his own."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_PATIENCE)
            client.connect(str(self.other))
            lines = client.makefile("rb")
            lines.readline()
            reply: object = None
            for request in ("qmp_capabilities", command):
                message = {"execute": request, "id": request}
                if arguments is not None and request == command:
                    message["arguments"] = arguments  # type: ignore[assignment]
                client.sendall(json.dumps(message).encode() + b"\n")
                while json.loads(line := lines.readline()).get("id") != request:
                    pass
                reply = json.loads(line)["return"]
            lines.close()
            return reply

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(_PATIENCE)


@pytest.fixture
def directory(short_dir: Path) -> Iterator[int]:
    fd = os.open(short_dir, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture
async def poller() -> AsyncIterator[pollers.Poller]:
    one = pollers.Poller(asyncio.get_running_loop())
    yield one
    one.close()


@pytest.fixture
def qemu(short_dir: Path) -> Iterator[Qemu]:
    with contextlib.closing(Qemu(short_dir, "web1")) as one:
        yield one


def _version() -> str:
    told = subprocess.run(
        ["qemu-system-x86_64", "--version"], capture_output=True, check=True, text=True
    ).stdout
    found = re.search(r"version (\S+)", told)
    assert found
    return found[1]


async def _open(
    poller: pollers.Poller, directory: int, name: str, owner: Owner
) -> connection.Connection:
    """Knock until qemu, which is just starting, opens; what it answers before that is checked."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                return connection.Connection.open(poller, directory, name, owner)
            except connection.Refused as error:
                if error.reason not in (connection.Reason.MISSING, connection.Reason.REFUSED):
                    raise
                await asyncio.sleep(0.0005)


async def test_attaches_to_a_qemu_that_is_just_starting(
    poller: pollers.Poller, directory: int, qemu: Qemu
) -> None:
    owner = Owner()
    with contextlib.closing(await _open(poller, directory, qemu.socket, owner)) as one:
        await owner.said("prelaunch")
        assert owner.told == ["attached", "prelaunch"]
        assert one.version == _version()
        assert one.pid
        assert processes.command_line(one.pid)[:2] == (b"qemu-system-x86_64", b"-accel")
        qemu.ask("cont")
        await owner.said(("RESUME", "", None))
        qemu.ask("stop")
        await owner.said(("STOP", "", None))
        one.query_status()
        await owner.said("paused")
        assert one.garbage == 0


async def test_asks_for_the_events_of_a_migration(
    poller: pollers.Poller, directory: int, qemu: Qemu
) -> None:
    owner = Owner()
    with contextlib.closing(await _open(poller, directory, qemu.socket, owner)):
        await owner.said("prelaunch")
        async with asyncio.timeout(_PATIENCE):
            while True:
                found = qemu.ask("query-migrate-capabilities")
                assert isinstance(found, list)
                if {"capability": "events", "state": True} in found:
                    break
                await asyncio.sleep(0.01)


async def test_quit_is_told_before_the_end(
    poller: pollers.Poller, directory: int, qemu: Qemu
) -> None:
    owner = Owner()
    with contextlib.closing(await _open(poller, directory, qemu.socket, owner)) as one:
        await owner.said("prelaunch")
        assert one.quit()
        await owner.said(connection.Reason.ENDED)
        assert owner.told[2:] == [
            ("SHUTDOWN", "host-qmp-quit", False),
            connection.Reason.ENDED,
        ]


async def test_a_signal_is_told_before_the_end(
    poller: pollers.Poller, directory: int, qemu: Qemu
) -> None:
    owner = Owner()
    with contextlib.closing(await _open(poller, directory, qemu.socket, owner)) as one:
        await owner.said("prelaunch")
        assert one.pid
        os.kill(one.pid, signal.SIGTERM)
        await owner.said(connection.Reason.ENDED)
        assert owner.told[2:] == [("SHUTDOWN", "host-signal", False), connection.Reason.ENDED]


async def test_a_killed_qemu_says_nothing(
    poller: pollers.Poller, directory: int, qemu: Qemu
) -> None:
    owner = Owner()
    with contextlib.closing(await _open(poller, directory, qemu.socket, owner)) as one:
        await owner.said("prelaunch")
        assert one.pid
        os.kill(one.pid, signal.SIGKILL)
        await owner.said(connection.Reason.ENDED)
        assert owner.told[2:] == [connection.Reason.ENDED]
    qemu.close()  # a dying process may take connections until it is quite dead
    with pytest.raises(connection.Refused) as caught:
        connection.Connection.open(poller, directory, qemu.socket, owner)
    assert caught.value.reason is connection.Reason.REFUSED


async def test_a_busy_qemu_greets_when_the_other_client_leaves(
    poller: pollers.Poller, directory: int, qemu: Qemu, short_dir: Path
) -> None:
    first, second = Owner(), Owner()
    with contextlib.closing(await _open(poller, directory, qemu.socket, first)) as holder:
        await first.said("prelaunch")
        with contextlib.closing(
            connection.Connection.open(poller, directory, qemu.socket, second)
        ) as waiting:
            holder.query_status()
            await first.said("prelaunch")
            assert not waiting.is_greeted
            assert waiting.pid == holder.pid
            holder.close()
            await second.said("prelaunch")


async def test_both_sides_of_a_migration_tell_that_it_completed(
    poller: pollers.Poller, directory: int, qemu: Qemu, short_dir: Path
) -> None:
    source, target = Owner(), Owner()
    channel = f"unix:{short_dir}/migration"
    with (
        contextlib.closing(Qemu(short_dir, "web2", "-incoming", channel)) as second,
        contextlib.closing(await _open(poller, directory, qemu.socket, source)),
        contextlib.closing(await _open(poller, directory, second.socket, target)),
    ):
        await source.said("prelaunch")
        await target.said("inmigrate")
        qemu.ask("cont")
        await source.said(("RESUME", "", None))
        await asyncio.to_thread(qemu.ask, "migrate", {"uri": channel})
        completed = ("MIGRATION", "completed", None)
        await source.said(completed)
        await target.said(completed)
        qemu.ask("quit")
        await source.said(connection.Reason.ENDED)
        assert source.told[-2:] == [("SHUTDOWN", "host-qmp-quit", False), connection.Reason.ENDED]
