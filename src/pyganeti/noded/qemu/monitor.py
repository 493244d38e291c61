"""Commands to a running qemu, through QEMU's own library: connect, command, leave.

A QMP socket serves one client at a time, so nobody stays on it longer than needed; kvmd has one of
its own. Every wait is bounded: a qemu that hangs, or whose socket somebody else holds, costs
`PATIENCE` seconds and is `errors.Unavailable`. What qemu refuses is `Refused`, with its words.
"""

import asyncio
import contextlib
import logging
import os
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from qemu import qmp

from pyganeti.base import errors

PATIENCE = 10.0
"""Seconds that a qemu has for one answer, unless the caller says otherwise."""

_ATTEMPTS: Final = 3
_NEGOTIATE: Final = b'{"execute":"qmp_capabilities"}\n'
_PIECE: Final = 16384
_LONGEST: Final = 256 * 1024

# The library logs what it raises as well; here it is said once, by whoever handles it.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class Refused(errors.Failure):
    """Qemu understood the command and will not do it; the message is its own."""


class Gone(errors.Unavailable):
    """The qemu ended, or was not there to begin with."""


class _Client(qmp.QMPClient):
    """The library's, without its log of messages, which costs more than all the rest it does."""

    def _cb_outbound(self, msg: qmp.Message) -> qmp.Message:
        return msg

    def _cb_inbound(self, msg: qmp.Message) -> qmp.Message:
        return msg


class Monitor:
    """One conversation with a qemu, made by `open`."""

    def __init__(self, client: qmp.QMPClient, name: str) -> None:
        self._client = client
        self._name = name

    async def execute(
        self,
        command: str,
        arguments: dict[str, Any] | None = None,
        *,
        patience: float | None = None,
    ) -> Any:  # noqa: ANN401 - whatever qemu answers
        """Have a command done; return what qemu returns.

        Raises Refused, Gone, or Unavailable when there is no answer in time.
        """
        patience = PATIENCE if patience is None else patience
        try:
            async with asyncio.timeout(patience):
                return await self._client.execute(command, dict(arguments or {}))
        except qmp.ExecuteError as error:
            raise Refused(f"qemu of {self._name} refuses {command}: {error}") from error
        except TimeoutError as error:
            raise errors.Unavailable(
                f"qemu of {self._name} does not answer {command} within {patience:g} s"
            ) from error
        except (qmp.QMPError, OSError, EOFError) as error:
            raise Gone(f"qemu of {self._name} ended at {command}: {error}") from error

    async def hand_over(
        self, descriptor: int, command: str, arguments: dict[str, Any] | None = None
    ) -> Any:  # noqa: ANN401 - whatever qemu answers
        """Have a command done that takes a descriptor, ours as well as qemu's from then on."""
        try:
            self._client.send_fd_scm(descriptor)
        except (qmp.QMPError, OSError) as error:
            raise Gone(f"qemu of {self._name} ended at {command}: {error}") from error
        return await self.execute(command, arguments)

    @contextlib.contextmanager
    def hearing(self, *events: str) -> Iterator["Hearing"]:
        """Listen for events from now on."""
        with self._client.listener(events) as listener:
            yield Hearing(listener)

    async def status(self) -> str:
        """Return the run state: running, paused, shutdown, prelaunch, inmigrate and others."""
        return str((await self.execute("query-status"))["status"])


class Hearing:
    """Events that have come since `Monitor.hearing`."""

    def __init__(self, listener: qmp.EventListener) -> None:
        self._listener = listener

    async def next(self) -> tuple[str, dict[str, Any]]:
        """Wait for the next one; return its name and what it says. For ever if qemu is gone."""
        event: Any = await self._listener.get()
        return str(event["event"]), event.get("data") or {}


async def once(
    socket: Path, command: str, *, when: Callable[[], Awaitable[object]] | None = None
) -> Any:  # noqa: ANN401 - whatever qemu answers
    """Have one command without arguments done, in one exchange; raises as a conversation does.

    For where a guest waits for nothing else: the library takes several milliseconds for its part.
    ``when`` is waited for before the command, when all that goes before it has been said.
    """
    name = socket.name.rpartition(".")[0]
    loop = asyncio.get_running_loop()
    greeted = False
    rest = b""
    with contextlib.ExitStack() as opened:
        try:
            directory = os.open(socket.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, directory)
            kind = sockets.SOCK_STREAM | sockets.SOCK_NONBLOCK
            line = opened.enter_context(sockets.socket(sockets.AF_UNIX, kind))
            async with asyncio.timeout(PATIENCE):
                await loop.sock_connect(line, f"/proc/self/fd/{directory}/{socket.name}")
                # The commands may come before the greeting: qemu reads them when it has greeted.
                await loop.sock_sendall(line, _NEGOTIATE)
                if when is not None:
                    await when()
                await loop.sock_sendall(line, b'{"execute":"%s","id":"once"}\n' % command.encode())
                while len(rest) < _LONGEST:
                    piece = await loop.sock_recv(line, _PIECE)
                    if not piece:
                        raise Gone(f"qemu of {name} ended at {command}")
                    greeted = True
                    *lines, rest = (rest + piece).split(b"\n")
                    for answer in map(msgspec.json.decode, filter(None, map(bytes.strip, lines))):
                        if answer.get("id") == "once":
                            return _result(name, command, answer)
        except TimeoutError as error:
            wanted = f"answer {command}" if greeted else "greet"
            raise errors.Unavailable(
                f"qemu of {name} does not {wanted} within {PATIENCE:g} s: it hangs, or somebody"
                " else is connected"
            ) from error
        except (OSError, msgspec.DecodeError, AttributeError) as error:
            raise Gone(f"no qemu answers for {name}: {error}") from error
    raise errors.Unavailable(f"qemu of {name} talks without end")


def _result(name: str, command: str, answer: dict[str, Any]) -> Any:  # noqa: ANN401 - likewise
    if "error" in answer:
        raise Refused(f"qemu of {name} refuses {command}: {answer['error'].get('desc', '')}")
    return answer.get("return")


async def _connected(name: str, address: str) -> _Client:
    """Return a conversation, begun anew if it did not begin as one does.

    An event that comes at the very moment can get in between a qemu's first words, where the
    library expects none (seen with 7.2 at the beginning of a migration). Nothing has been asked by
    then.
    """
    for _ in range(_ATTEMPTS - 1):
        client = _Client(name)
        try:
            await client.connect(address)
        except qmp.ConnectError as error:
            if isinstance(error.exc, OSError | EOFError):
                raise
        else:
            return client
    client = _Client(name)
    await client.connect(address)
    return client


@contextlib.asynccontextmanager
async def open(  # noqa: A001 - reads as monitor.open
    socket: Path, *, patience: float | None = None
) -> AsyncIterator[Monitor]:
    """Talk to the qemu that listens on a socket; raises Gone or Unavailable."""
    patience = PATIENCE if patience is None else patience
    name = socket.name.rpartition(".")[0]
    client = _Client(name)
    directory: int | None = None
    try:
        try:
            # A socket's path has at most 107 bytes; a directory's may have more.
            directory = os.open(socket.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            async with asyncio.timeout(patience):
                client = await _connected(name, f"/proc/self/fd/{directory}/{socket.name}")
        except TimeoutError as error:
            raise errors.Unavailable(
                f"qemu of {name} does not greet within {patience:g} s: it hangs, or somebody"
                " else is connected"
            ) from error
        except (qmp.QMPError, OSError, EOFError) as error:
            raise Gone(f"no qemu answers for {name}: {error}") from error
        yield Monitor(client, name)
    finally:
        if directory is not None:
            os.close(directory)
        # Whatever the conversation ended with was raised to whoever had it.
        with contextlib.suppress(qmp.QMPError, OSError, EOFError, TimeoutError):
            async with asyncio.timeout(patience):
                await client.disconnect()
