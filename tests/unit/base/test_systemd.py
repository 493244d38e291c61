import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyganeti.base import systemd


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.settimeout(10)
        yield made


def test_without_a_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert systemd.notify("READY=1") is False


def test_a_manager_at_a_path_hears_every_line(
    manager: socket.socket, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.bind(str(short_dir / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(short_dir / "notify"))
    assert systemd.notify("READY=1\nSTATUS=très bien") is True
    assert manager.recv(1000) == "READY=1\nSTATUS=très bien".encode()


def test_a_manager_at_an_abstract_address_hears(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"pyganeti-test-{os.getpid()}"
    manager.bind(f"\0{name}")
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    assert systemd.notify("STOPPING=1") is True
    assert manager.recv(1000) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "@", "/" + "x" * 200])
def test_an_address_that_cannot_be_used_is_no_error(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert systemd.notify("READY=1") is False


def test_a_manager_that_went_away_is_no_error(
    manager: socket.socket, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.bind(str(short_dir / "notify"))
    manager.close()
    monkeypatch.setenv("NOTIFY_SOCKET", str(short_dir / "notify"))
    assert systemd.notify("READY=1") is False


def test_a_manager_that_does_not_read_is_given_up_on(
    manager: socket.socket, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.bind(str(short_dir / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(short_dir / "notify"))
    sent = 0
    while systemd.notify("WATCHDOG=1", patience=0):
        sent += 1
        assert sent < 100_000
    assert systemd.notify("WATCHDOG=1", patience=0.01) is False
    assert manager.recv(100) == b"WATCHDOG=1"
    assert systemd.notify("READY=1") is True


def test_the_watchdog_is_told_in_seconds_and_only_to_its_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert systemd.watchdog_seconds() is None
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert systemd.watchdog_seconds() == 30.0
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert systemd.watchdog_seconds() == 30.0
    monkeypatch.setenv("WATCHDOG_PID", str(os.getppid()))
    assert systemd.watchdog_seconds() is None


@pytest.mark.parametrize("interval", ["", "0", "-5", "soon", "1e3", "9" * 400])
def test_a_watchdog_interval_that_is_none_is_ignored(
    interval: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", interval)
    assert systemd.watchdog_seconds() is None
