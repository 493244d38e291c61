"""Simulated servers behave as QEMU does where they should, and badly where they are told to."""

import contextlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import guests, qemus, qmpclient, qmpservers, simulation


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")


@pytest.fixture
def simulated(directory: Path) -> Iterator[simulation.Simulation]:
    with simulation.Simulation(directory) as simulated:
        yield simulated


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(5)
    try:
        client.connect(str(path))
    except BaseException:
        client.close()
        raise
    return client


def read_lines(client: socket.socket, number: int) -> list[bytes]:
    received = b""
    while received.count(b"\n") < number:
        try:
            piece = client.recv(65536)
        except ConnectionResetError:
            break
        if not piece:
            break
        received += piece
    return received.splitlines(keepends=True)


def talk(path: Path) -> list[bytes]:
    """Hold kvmd's own conversation; return the lines with what differs each time blanked."""
    with connect(path) as client:
        lines = read_lines(client, 1)
        for command in (
            b'{"execute": "qmp_capabilities", "id": "capabilities"}\n',
            b'{"execute": "query-status", "id": "status"}\n',
            b'{"execute": "migrate-set-capabilities", "arguments": {"capabilities": []}}\n',
            b'{"execute": "quit", "id": "quit"}\n',
        ):
            client.sendall(command)
            lines += read_lines(client, 2 if b"quit" in command else 1)
        lines += read_lines(client, 1)
    return [re.sub(rb'seconds": \d+|"package": "[^"]*"', b"_", line) for line in lines]


@pytest.mark.qemu
def test_says_byte_for_byte_what_qemu_says(
    simulated: simulation.Simulation, directory: Path, node: qemus.Qemus
) -> None:
    real = node.start("web1", guests.idle())
    version = real.qmp().greeting["version"]["qemu"]
    if (version["major"], version["minor"]) != (7, 2):
        pytest.skip("QEMU here is not 7.2, which is what is simulated")
    numbers = (version["major"], version["minor"], version["micro"])
    simulated.create(["web1.kvmd"], version=numbers)
    assert talk(directory / "web1.kvmd") == talk(real.path(".kvmd"))


def test_ends_as_qemu_does_when_told_to_quit(
    simulated: simulation.Simulation, directory: Path
) -> None:
    simulated.create(["web1.kvmd"])
    with qmpclient.Client(directory / "web1.kvmd") as client:
        client.command("quit")
        assert [str(event) for event in client.read_to_end()] == [
            'SHUTDOWN guest=false reason="host-qmp-quit"'
        ]
    assert simulated.report()["servers"] == 0
    assert list(directory.iterdir()) == []
    assert simulated.report()["quits"] == 1


def test_second_client_waits_until_the_first_leaves(
    simulated: simulation.Simulation, directory: Path
) -> None:
    simulated.create(["web1.kvmd"])
    path = directory / "web1.kvmd"
    with qmpclient.Client(path) as first, connect(path) as second:
        second.settimeout(0.1)
        with pytest.raises(TimeoutError):
            second.recv(1)
        first.close()
        second.settimeout(5)
        assert read_lines(second, 1)[0].startswith(b'{"QMP"')


def test_event_is_lost_while_nobody_has_negotiated(
    simulated: simulation.Simulation, directory: Path
) -> None:
    simulated.create(["web1.kvmd", "web2.kvmd"])
    with qmpclient.Client(directory / "web1.kvmd") as client:
        before = time.monotonic_ns()
        sent = simulated.emit("POWERDOWN")
        assert before < sent["web1.kvmd"] < time.monotonic_ns()
        assert sent["web2.kvmd"] == 0
        assert client.wait_for("POWERDOWN").data == {}


def test_held_guest_tells_that_it_is_shut_down(
    simulated: simulation.Simulation, directory: Path
) -> None:
    simulated.create(["web1.kvmd"])
    with qmpclient.Client(directory / "web1.kvmd") as client:
        simulated.power_off(hold=True)
        assert client.status() == "shutdown"
        assert [event.name for event in client.events] == ["SHUTDOWN"]


def test_many_stop_at_once_and_leave_nothing(
    simulated: simulation.Simulation, directory: Path
) -> None:
    chosen = simulation.names(200)
    simulated.create(chosen)
    with contextlib.ExitStack() as clients:
        opened = [clients.enter_context(qmpclient.Client(directory / name)) for name in chosen]
        simulated.wait_attached(200)
        sent = simulated.power_off()
        assert all(sent[name] for name in chosen)
        for client in opened:
            assert [event.name for event in client.read_to_end()] == ["SHUTDOWN"]
    assert list(directory.iterdir()) == []


def test_servers_are_dealt_out_to_processes(directory: Path) -> None:
    with simulation.Simulation(directory, processes=2) as simulated:
        chosen = simulation.names(20)
        simulated.create(chosen)
        assert len(set(simulated.pids)) == 2
        assert simulated.report()["servers"] == 20
        assert {path.name for path in directory.iterdir()} == set(chosen)
        simulated.end(chosen[:10])
        assert simulated.report()["servers"] == 10


def test_flood_goes_at_the_reader_s_pace(simulated: simulation.Simulation, directory: Path) -> None:
    simulated.create(["web1.kvmd", "web2.kvmd"])
    with qmpclient.Client(directory / "web1.kvmd") as client:
        simulated.flood(20_000, ["web1.kvmd"])
        assert simulated.report()["flooding"] == 1
        with qmpclient.Client(directory / "web2.kvmd") as other:
            simulated.emit("POWERDOWN", chosen=["web2.kvmd"])
            other.wait_for("POWERDOWN")
        simulated.emit("STOP", chosen=["web1.kvmd"])
        client.wait_for("STOP")
        qemus.wait_until(
            lambda: client.status() == "running" and len(client.events) == 20_001, what="the flood"
        )
        assert simulated.wait_flooded() < time.monotonic_ns()


def test_unending_line_comes(simulated: simulation.Simulation, directory: Path) -> None:
    simulated.create(["web1.kvmd"])
    with connect(directory / "web1.kvmd") as client:
        read_lines(client, 1)
        simulated.flood(100_000, line=b"x")
        received = 0
        while received < 100_000:
            piece = client.recv(65536)
            assert set(piece) == {ord("x")}
            received += len(piece)


def test_line_is_cut_in_the_middle(simulated: simulation.Simulation, directory: Path) -> None:
    simulated.create(["web1.kvmd"])
    with connect(directory / "web1.kvmd") as client:
        read_lines(client, 1)
        simulated.send(b'{"event": "SHUT\x00\xff', then=qmpservers.CLOSE)
        assert client.recv(100) == b'{"event": "SHUT\x00\xff'
        assert client.recv(100) == b""
    with qmpclient.Client(directory / "web1.kvmd") as again:
        assert again.status() == "running"


def test_wrong_greeting_is_sent(simulated: simulation.Simulation, directory: Path) -> None:
    simulated.create(["web1.kvmd"], greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with connect(directory / "web1.kvmd") as client:
        assert read_lines(client, 2)[0] == b"HTTP/1.1 400 Bad Request\r\n"


def test_refuses_until_told_to_serve(simulated: simulation.Simulation, directory: Path) -> None:
    simulated.create(["web1.kvmd"], behaviour=qmpservers.REFUSE)
    with pytest.raises(ConnectionRefusedError):
        connect(directory / "web1.kvmd")
    simulated.behave(qmpservers.SERVE)
    with qmpclient.Client(directory / "web1.kvmd") as client:
        assert client.status() == "running"


@pytest.mark.parametrize("behaviour", [qmpservers.BUSY, qmpservers.SILENT])
def test_no_greeting_comes(
    simulated: simulation.Simulation, directory: Path, behaviour: str
) -> None:
    simulated.create(["web1.kvmd"], behaviour=behaviour)
    with connect(directory / "web1.kvmd") as client:
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        simulated.behave(qmpservers.SERVE)
        if behaviour == qmpservers.BUSY:
            client.settimeout(5)
            assert read_lines(client, 1)[0].startswith(b'{"QMP"')


def test_name_is_taken_over_by_another(simulated: simulation.Simulation, directory: Path) -> None:
    simulated.create(["web1.kvmd"])
    inode = (directory / "web1.kvmd").stat().st_ino
    with qmpclient.Client(directory / "web1.kvmd") as old:
        with pytest.raises(simulation.Failed, match="there already"):
            simulated.create(["web1.kvmd"])
        simulated.create(["web1.kvmd"], replace=True)
        with qmpclient.Client(directory / "web1.kvmd") as new:
            simulated.power_off(["web1.kvmd@old"])
            old.read_to_end()
            assert new.events == []
            assert new.status() == "running"
        assert (directory / "web1.kvmd").exists()
        assert inode > 0


def test_listener_is_released_and_its_file_stays(
    simulated: simulation.Simulation, directory: Path
) -> None:
    simulated.create(["web1.kvmd"], release=True)
    with qmpclient.Client(directory / "web1.kvmd") as client:
        assert (directory / "web1.kvmd").is_socket()
        with pytest.raises(ConnectionRefusedError):
            connect(directory / "web1.kvmd")
        assert client.status() == "running"


def test_killed_simulator_leaves_its_files(
    simulated: simulation.Simulation, directory: Path
) -> None:
    simulated.create(["web1.kvmd"])
    with qmpclient.Client(directory / "web1.kvmd") as client:
        simulated.kill()
        assert client.read_to_end() == []
    assert (directory / "web1.kvmd").is_socket()


_STARTS_AND_WAITS = """
import pathlib, sys
from lab import simulation
with simulation.Simulation(pathlib.Path(sys.argv[1])) as simulated:
    simulated.create(["web1.kvmd"])
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_simulator_ends_with_its_killed_master(directory: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _STARTS_AND_WAITS, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(simulation.__file__).parents[1],
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        assert (directory / "web1.kvmd").is_socket()
        run.kill()
        qemus.wait_until(lambda: not list(directory.iterdir()), what="the simulator's end")


def test_odd_names_are_served(simulated: simulation.Simulation, directory: Path) -> None:
    name = "grün web\udcff,1.kvmd"
    simulated.create([name])
    with qmpclient.Client(directory / name):
        assert simulated.emit("STOP")[name] > 0
