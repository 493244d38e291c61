import os
import pty
import socket
import termios
import threading
from pathlib import Path

import pytest

from lab import qemus
from pyganeti.base import errors
from pyganeti.cli.instance import attaching


def echoing(path: Path) -> threading.Thread:
    """Answer one connection with what it says, in capitals."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as one:
            while said := one.recv(100):
                one.sendall(said.upper())

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def is_echoing(terminal: int) -> bool:
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def test_a_terminal_is_raw_while_attached_and_as_before_then(short_dir: Path) -> None:
    serving = echoing(short_dir / "s")
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    heard, out = os.pipe()
    attached = threading.Thread(
        target=attaching.attach,
        args=(str(short_dir / "s"),),
        kwargs={"source": theirs, "target": out},
    )
    try:
        attached.start()
        # What is typed before the terminal is raw is not the guest's.
        qemus.wait_until(lambda: not is_echoing(theirs), what="a raw terminal")
        os.write(ours, b"ab\x03")  # control and c is the guest's, too
        got = b""
        while len(got) < 3:
            got += os.read(heard, 100)
        assert got == b"AB\x03"
        assert not is_echoing(theirs)
        os.write(ours, b"\x1d")
        attached.join(10)
        assert not attached.is_alive()
        assert termios.tcgetattr(theirs) == before
    finally:
        serving.join(10)
        for descriptor in (ours, theirs, heard, out):
            os.close(descriptor)


def test_input_that_ends_gets_its_answer(short_dir: Path) -> None:
    serving = echoing(short_dir / "s")
    (short_dir / "in").write_bytes(b"from a file")
    with (short_dir / "in").open("rb") as given, (short_dir / "out").open("wb") as target:
        attaching.attach(str(short_dir / "s"), source=given.fileno(), target=target.fileno())
    serving.join(10)
    assert (short_dir / "out").read_bytes() == b"FROM A FILE"


def test_where_nobody_listens_is_said(short_dir: Path) -> None:
    with pytest.raises(errors.Unavailable, match="nobody answers"):
        attaching.attach(str(short_dir / "s"), source=0, target=1)
