"""The way of the data: read, packed and sent; received, unpacked and written.

What is counted, and what the magic word stands before, is the data itself, not what travels: that
is where Ganeti has both. With a program that packs, a second thread feeds it (or is fed by it);
what goes wrong there is raised in the first one.
"""

import mmap
import os
import threading
from collections.abc import Callable
from typing import Final, Protocol, Self

from pyganeti.base import errors
from pyganeti.noded.transfers import connecting, crew, ends

_MAGIC: Final = b"M="

Count = Callable[[int], None]


class _Short(errors.Interrupted):
    """There was not even the magic word."""


class _Reads(Protocol):
    def read_into(self, buffer: memoryview) -> int: ...


class _Writes(Protocol):
    def write(self, data: memoryview) -> None: ...


def send(
    source: ends.Source,
    connection: connecting.Connection,
    *,
    packer: tuple[ends.ProgramTarget, ends.ProgramSource] | None,
    magic: str | None,
    count: Count,
) -> None:
    """Send a source to its end; the receiver knows that it was all only if this returns."""
    if packer is None:
        _announce(connection, magic)
        _pump(source, connection, count)
        source.finish()
    else:
        into, out_of = packer

        def feed() -> None:
            _announce(into, magic)
            _pump(source, into, count)
            source.finish()
            into.finish()

        with _Aside(feed, out_of.program) as aside:
            _pump(out_of, connection)
            # This first: a program that has ended too early knows why, and the other thread does
            # not before there is more for it to read.
            out_of.finish()
            aside.check()
    connection.finish()


def receive(
    connection: connecting.Connection,
    target: ends.Target,
    *,
    unpacker: tuple[ends.ProgramTarget, ends.ProgramSource] | None,
    magic: str | None,
    count: Count,
) -> None:
    """Receive to the sender's end, and have it safe in the target."""
    if unpacker is None:
        _expect(connection, magic)
        _pump(connection, target, count)
    else:
        into, out_of = unpacker

        def feed() -> None:
            _pump(connection, into)
            into.finish()

        with _Aside(feed, out_of.program) as aside:
            try:
                _expect(out_of, magic)
                _pump(out_of, target, count)
            except _Short:
                out_of.finish()
                raise
            out_of.finish()
            aside.check()
    target.finish()
    connection.finish()


class _Aside:
    """A thread beside this one; if it fails, the program between them is killed."""

    def __init__(self, work: Callable[[], None], between: crew.Program) -> None:
        self._work = work
        self._between = between
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="aside", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is not None and issubclass(kind, errors.Failure) and self._failed is not None:
            raise self._failed  # what happened here came of it

    def check(self) -> None:
        """Wait for the thread, and raise what it has raised."""
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - a thread's top frame; raised in the other one
            self._failed = error
            self._between.kill()


def _pump(source: _Reads, target: _Writes, count: Count | None = None) -> None:
    # A mapping of its own begins on a page, which reading past the page cache asks for.
    view = memoryview(mmap.mmap(-1, ends.CHUNK))
    while read := source.read_into(view):
        target.write(view[:read])
        if count is not None:
            count(read)


def _announce(target: _Writes, magic: str | None) -> None:
    if magic is not None:
        target.write(memoryview(_MAGIC + os.fsencode(magic)))


def _expect(source: _Reads, magic: str | None) -> None:
    """Raise Denied unless the data begins with the word that only the right sender knows.

    Raises Interrupted if it ends before.
    """
    if magic is None:
        return
    wanted = _MAGIC + os.fsencode(magic)
    found = bytearray(len(wanted))
    rest = memoryview(found)
    while rest and (read := source.read_into(rest)):
        rest = rest[read:]
    if rest:
        raise _Short("the data ended before it had begun")
    if found != wanted:
        raise errors.Denied("the magic word is not the one expected: this is another's data")
