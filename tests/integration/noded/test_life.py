"""The daemon's start, its end, and what it survives."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from lab import nodedaemons
from pyganeti.base import services
from pyganeti.noded import settings
from pyganeti.wire import noderpc


def _status(pid: int, field: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{field}:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _command(
    root: Path, *flags: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*nodedaemons.COMMAND, *flags],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=nodedaemons.PATIENCE,
        check=False,
        env={**os.environ, "GANETI_ROOTDIR": str(root), "GANETI_HOSTNAME": "node1"}
        | (environment or {}),
        cwd=Path(__file__).parents[3],
    )


@pytest.mark.root
def test_its_memory_is_locked_unless_told_otherwise(short_dir: Path) -> None:
    with nodedaemons.Noded(short_dir / "a") as noded:
        assert _status(noded.pid, "VmLck") > 20_000
        assert noded.call("test_delay", 0) is None
    with nodedaemons.Noded(short_dir / "b", "--no-mlock") as noded:
        assert _status(noded.pid, "VmLck") == 0


@pytest.mark.root
def test_threads_that_it_starts_later_cost_little(noded: nodedaemons.Noded) -> None:
    before = _status(noded.pid, "VmRSS")
    for _ in range(30):
        noded.call("get_file_info", "/nothing")
    assert _status(noded.pid, "VmRSS") - before < 4_000


def test_it_does_not_grow_with_calls(noded: nodedaemons.Noded) -> None:
    def call(times: int) -> None:
        with contextlib.closing(noded.connect()) as connection:
            for _ in range(times):
                connection.request("POST", "/version", b"[]")
                connection.getresponse().read()

    call(500)
    before = _status(noded.pid, "VmRSS")
    call(3000)
    assert _status(noded.pid, "VmRSS") - before < 1_000


def test_it_does_not_grow_with_connections(noded: nodedaemons.Noded) -> None:
    secured = noded.context()

    def call(times: int) -> None:
        for _ in range(times):
            noded.post("/version", b"[]", secured=secured)

    call(100)
    before = _status(noded.pid, "VmRSS")
    call(300)
    assert _status(noded.pid, "VmRSS") - before < 2_000
    assert len(list(Path(f"/proc/{noded.pid}/fd").iterdir())) < 30


def test_large_bodies_leave_it_as_small_as_before(noded: nodedaemons.Noded) -> None:
    """Twenty at once, and ten megabytes in one: what a busy hour needs is given back."""
    content = noderpc.encode_blob(bytes(range(256)) * 8000)
    body = noderpc.encode_arguments(["/var/lib/ganeti/config.data", content, 0o640, "", "", 0, 0])

    def upload() -> None:
        with contextlib.closing(noded.connect()) as connection:
            for _ in range(3):
                connection.request("POST", "/upload_file_single", body)
                assert connection.getresponse().read() == b"[true,null]"

    upload()
    before = _status(noded.pid, "VmRSS")
    threads = [threading.Thread(target=upload) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    longest = b"[" + b" " * (noderpc.BODY_LIMIT - 2) + b"]"
    assert noded.post("/version", longest) == (200, b"[true,3000000]")
    # The answer is out before the connection, and what came by it, is done with.
    noded.wait(lambda: _status(noded.pid, "VmRSS") - before < 8_000, "the memory to be given back")


@pytest.mark.root
def test_it_stays_small_whatever_it_has_been_asked_for(noded: nodedaemons.Noded) -> None:
    secured = noded.context()
    with contextlib.ExitStack() as end:
        for _ in range(15):
            connection = end.enter_context(contextlib.closing(noded.connect(secured)))
            connection.request("POST", "/bridges_exist", b"[[]]")  # netlink's library
            assert connection.getresponse().read() == b"[true,null]"
        noded.call("node_crypto_tokens", [["ssl", "create", None]])  # cryptography
        noded.call("node_verify", {"client-cert": None, "oslist": None}, "cluster", {})
        assert _status(noded.pid, "VmLck") > 0
        assert _status(noded.pid, "VmRSS") < 60 * 1024


def test_it_detaches_locks_its_pid_file_and_ends_when_told(short_dir: Path) -> None:
    placed = nodedaemons.Noded(short_dir)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    flags = ("-p", str(port), "-b", "127.0.0.1")
    begun = _command(short_dir, *flags)
    assert (begun.returncode, begun.stdout, begun.stderr) == (0, "", "")
    pid_file = placed.layout.pid_file("ganeti-noded")
    pid = int(pid_file.read_text())
    try:
        placed.port = port
        assert placed.call("version") == noderpc.PROTOCOL
        again = _command(short_dir, *flags)
        assert again.returncode == 1
        assert f"(pid {pid})" in again.stderr
    finally:
        os.kill(pid, signal.SIGTERM)
        placed.wait(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), "its end")
    assert not pid_file.exists()
    log = placed.layout.log_dir / "node-daemon.log"
    assert "INFO ended" in log.read_text()


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_a_port_that_is_taken_is_said(short_dir: Path) -> None:
    nodedaemons.Noded(short_dir)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        begun = _command(short_dir, "-p", str(port), "-b", "127.0.0.1")
    assert begun.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in begun.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("-b", "127.0.0.1", "-i", "lo"), "cannot be asked for together"),
        (("-i", "no-such-if"), "no address to bind to"),
        (("--max-clients", "0"), "max-clients"),
        (("-C", "/nowhere/server.pem"), "/nowhere/server.pem is missing"),
        (("nonsense",), "nonsense"),
    ],
)
def test_flags_that_make_no_sense_are_said(
    flags: tuple[str, ...], said: str, short_dir: Path
) -> None:
    nodedaemons.Noded(short_dir)
    begun = _command(short_dir, "-f", *flags)
    assert begun.returncode != 0
    assert said in begun.stderr
    assert "Traceback" not in begun.stderr


def test_a_damaged_certificate_is_said_at_the_start(short_dir: Path) -> None:
    placed = nodedaemons.Noded(short_dir)
    placed.layout.server_certificate.write_text("garbage")
    begun = _command(short_dir, "-f", "-p", "0", "-b", "127.0.0.1")
    assert begun.returncode == 1
    assert "server.pem" in begun.stderr


def test_a_node_in_no_cluster_has_nothing_to_serve(short_dir: Path) -> None:
    begun = _command(short_dir, "-f")
    assert begun.returncode == 1
    assert "server.pem is missing" in begun.stderr


def test_its_version_is_told(short_dir: Path) -> None:
    assert _command(short_dir, "--version").stdout.startswith("ganeti-noded, version ")


def test_an_interface_is_an_address(short_dir: Path) -> None:
    with nodedaemons.Noded(short_dir) as noded:
        assert settings.address_of("lo", noded.layout) == "127.0.0.1"


def test_another_port_of_the_services_database_or_the_usual_one() -> None:
    try:
        expected = socket.getservbyname("ganeti-noded", "tcp")
    except OSError:
        expected = 1811
    assert services.port("ganeti-noded") == expected


def test_the_log_is_reopened_on_hup(short_dir: Path) -> None:
    placed = nodedaemons.Noded(short_dir)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        placed.port = taken.getsockname()[1]
    begun = _command(short_dir, "-p", str(placed.port), "-b", "127.0.0.1")
    assert begun.returncode == 0, begun.stderr
    pid = int(placed.layout.pid_file("ganeti-noded").read_text())
    try:
        log = placed.layout.log_dir / "node-daemon.log"
        log.rename(log.with_suffix(".log.1"))
        os.kill(pid, signal.SIGHUP)
        placed.wait(log.exists, "the new log")
        placed.call("version")
        placed.wait(lambda: "call=version" in log.read_text(), "the call in the new log")
    finally:
        os.kill(pid, signal.SIGTERM)
        placed.wait(lambda: _is_zombie(pid), "its end")


def test_systemd_hears_that_it_is_ready_lives_and_ends(short_dir: Path) -> None:
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(short_dir / "notify"))
        manager.settimeout(10)
        environment = {"NOTIFY_SOCKET": str(short_dir / "notify"), "WATCHDOG_USEC": "300000"}
        with nodedaemons.Noded(short_dir / "root", environment=environment) as noded:
            while heard.count(b"WATCHDOG=1") < 4:
                heard.append(manager.recv(4096))
            assert b"READY=1" in heard
            assert noded.stop() == 0
        while b"STOPPING=1" not in heard:
            heard.append(manager.recv(4096))


def test_a_call_under_way_is_answered_before_it_ends(noded: nodedaemons.Noded) -> None:
    with contextlib.closing(noded.connect()) as connection:
        connection.request("POST", "/test_delay", b"[1]")
        noded.wait(lambda: _has_read(noded), "the call to begin")
        os.kill(noded.pid, signal.SIGTERM)
        assert connection.getresponse().read() == b"[true,null]"
    assert noded.wait_end() == 0


def _has_read(noded: nodedaemons.Noded) -> bool:
    """Tell whether all that was sent has been taken in: a later call has been answered."""
    return bool(noded.call("version") == noderpc.PROTOCOL)


@pytest.mark.slow
def test_a_call_that_never_ends_does_not_keep_it(noded: nodedaemons.Noded) -> None:
    with contextlib.closing(noded.connect()) as connection:
        connection.request("POST", "/test_delay", b"[3600]")
        noded.wait(lambda: _has_read(noded), "the call to begin")
        began = time.monotonic()
        assert noded.stop(within=25) == 0
        assert time.monotonic() - began < 20
        with pytest.raises((OSError, http.client.HTTPException)):
            connection.getresponse()
    assert not noded.layout.pid_file("ganeti-noded").exists()


@pytest.mark.slow
def test_a_call_that_hangs_in_the_kernel_does_not_keep_it(noded: nodedaemons.Noded) -> None:
    os.mkfifo(noded.layout.state_dir / "watcher.pause")
    with contextlib.closing(noded.connect()) as connection:
        connection.request("POST", "/get_watcher_pause", b"[]")
        noded.wait(lambda: _has_read(noded), "the call to begin")
        assert noded.stop(within=25) == 0
    assert noded.log_lines("calls that hang left behind")
    assert not noded.layout.pid_file("ganeti-noded").exists()


def test_many_calls_that_hang_in_the_kernel_hold_up_nobody(noded: nodedaemons.Noded) -> None:
    """More than the machine has processors, by far."""
    os.mkfifo(noded.layout.state_dir / "watcher.pause")
    with contextlib.ExitStack() as end:
        for _ in range(15):
            connection = end.enter_context(contextlib.closing(noded.connect()))
            connection.request("POST", "/get_watcher_pause", b"[]")
        assert noded.call("get_file_info", "/nothing") == [False, {}]
    noded.kill()


def test_after_a_kill_9_it_starts_again_and_every_file_is_whole(
    noded: nodedaemons.Noded,
) -> None:
    path = noded.layout.queue_dir / "job-1"
    for letter in "abcdef":
        body = noderpc.encode_arguments(
            ["/var/lib/ganeti/queue/job-1", noderpc.encode_blob(letter.encode() * 300_000)]
        )
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(noded.connect()) as connection,
        ):
            connection.request("POST", "/jobqueue_update", body)
            time.sleep(0.002 * (ord(letter) - ord("a")))
            noded.kill()
            connection.getresponse().read()
        if path.exists():
            content = path.read_bytes()
            assert content == content[:1] * 300_000
        noded.start()
        assert noded.call("version") == noderpc.PROTOCOL
    noded.call("jobqueue_update", "/var/lib/ganeti/queue/job-1", [0, "new"])
    assert path.read_text() == "new"


def test_it_goes_on_where_descriptors_run_out(short_dir: Path) -> None:
    prefix = ("prlimit", "--nofile=24:24")
    with (
        nodedaemons.Noded(short_dir, "--max-clients", "100", prefix=prefix) as noded,
        contextlib.ExitStack() as end,
    ):
        for _ in range(40):
            end.enter_context(noded.raw())
        noded.wait_log("no connection can be accepted")
        end.close()
        assert noded.call("version") == noderpc.PROTOCOL
