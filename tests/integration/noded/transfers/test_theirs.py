"""Data moves to and from what Ganeti runs: socat, with its options, and its own daemon."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from lab import transfers

_CONTENT = os.urandom(3 * transfers.MIB) + b"the end"
_DAEMON = Path("/usr/share/ganeti/3.0/import-export")
_PACKING = {"none": ((), ()), "gzip": (("gzip", "-1", "-c"), ("gzip", "-d", "-c"))}


@pytest.fixture
def certificate(mover: transfers.Mover) -> Path:
    if not shutil.which("socat"):
        pytest.skip("needs socat (Debian package socat), which is what Ganeti transfers with")
    return mover.noded.layout.server_certificate


@pytest.mark.parametrize("compress", ["none", "gzip"])
def test_socat_receives_what_we_send(
    mover: transfers.Mover, certificate: Path, compress: str, tmp_path: Path
) -> None:
    disk = mover.disk("old", _CONTENT, 4)
    output = tmp_path / "output"
    receiver = transfers.their_receiver(certificate, output, unpack=_PACKING[compress][1])
    with receiver:
        port = transfers.port_of(receiver)
        (said,) = mover.ended(mover.send(port, "raw", disk, compress=compress))
        assert said["exit_status"] == 0, mover.logs()
        receiver.communicate(timeout=20)
    assert receiver.returncode == 0
    assert output.read_bytes() == mover.path(disk).read_bytes()


@pytest.mark.parametrize("compress", ["none", "gzip"])
def test_we_receive_what_socat_sends(
    mover: transfers.Mover, certificate: Path, compress: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(_CONTENT)
    disk = mover.disk("new", b"", 4)
    into, port = mover.receive("raw", disk, compress=compress)
    with transfers.their_sender(certificate, port, source, pack=_PACKING[compress][0]) as sender:
        said = sender.communicate(timeout=20)[1]
    assert sender.returncode == 0, said
    (told,) = mover.ended(into)
    assert told["exit_status"] == 0, mover.logs()
    assert mover.path(disk).read_bytes() == _CONTENT.ljust(4 * transfers.MIB, b"\0")


def test_a_socat_that_is_killed_has_not_sent_everything(
    mover: transfers.Mover, certificate: Path, tmp_path: Path
) -> None:
    source = tmp_path / "fifo"
    os.mkfifo(source)
    feeding = os.open(source, os.O_RDWR)
    into, port = mover.receive("file", "/srv/ganeti/export/x.new/dump")
    with transfers.their_sender(certificate, port, source) as sender:
        os.write(feeding, b"some of it")
        mover.wait(lambda: mover.status(into).get("progress_mbytes", 0) > 0, "data")
        subprocess.run(["pkill", "-KILL", "-P", str(sender.pid), "socat"], check=True, timeout=20)
        os.close(feeding)
        sender.communicate(timeout=20)
    (told,) = mover.ended(into)
    assert told["exit_status"] == 1
    assert told["error_message"] == "the sender broke off: the data is not whole"


@pytest.mark.skipif(not _DAEMON.exists(), reason="needs Ganeti's own daemon (package ganeti-3.0)")
@pytest.mark.parametrize("compress", ["none", "gzip-slow"])
def test_their_daemon_and_ours_understand_each_other(
    mover: transfers.Mover, certificate: Path, compress: str, tmp_path: Path
) -> None:
    def theirs(mode: str, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["/usr/bin/python3", _DAEMON, tmp_path / mode, mode, f"--key={certificate}",
             f"--cert={certificate}", f"--ca={certificate}", "--ipv4", f"--compress={compress}",
             f"--magic={transfers.MAGIC}", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def status(mode: str) -> dict[str, object]:
        try:
            found: dict[str, object] = json.loads((tmp_path / mode).read_bytes())
        except FileNotFoundError:
            return {}
        return found

    source, output = mover.disk("old", _CONTENT, 4), tmp_path / "output"
    with theirs("import", "--bind=127.0.0.1", f"--cmd-suffix=> {output}") as receiver:
        mover.wait(lambda: "listen_port" in status("import"), "their port")
        port = status("import")["listen_port"]
        assert isinstance(port, int)
        (said,) = mover.ended(mover.send(port, "raw", source, compress=compress))
        assert said["exit_status"] == 0
        complaints = receiver.communicate(timeout=30)[1]
    assert receiver.returncode == 0, complaints
    assert output.read_bytes() == mover.path(source).read_bytes()

    new = mover.disk("new", b"", 4)
    into, port = mover.receive("raw", new, compress=compress)
    began = time.monotonic()
    with theirs(
        "export", "--host=127.0.0.1", f"--port={port}", "--connect-retries=10",
        f"--cmd-prefix=cat {output} |",
    ) as sender:  # fmt: skip
        complaints = sender.communicate(timeout=30)[1]
    assert sender.returncode == 0, (complaints, time.monotonic() - began)
    (told,) = mover.ended(into)
    ours, other = told.keys(), status("export").keys()
    assert other - ours <= {"progress_mbytes", "progress_throughput"}
    assert ours - other <= {"listen_port", "progress_mbytes", "progress_throughput",
                            "progress_eta", "progress_percent"}  # fmt: skip
    assert mover.path(new).read_bytes() == output.read_bytes()
