"""Transfers that are killed, run out of room, or are wrong: it is said, and nothing is left."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import nodedaemons, transfers
from pyganeti.base import errors

_HALF = b"half of the data"


@pytest.fixture
def held(mover: transfers.Mover) -> Iterator[Any]:
    """Start a transfer from a script that waits in the middle; return both names and a way on."""
    gate = mover.root / "gate"
    os.mkfifo(gate)
    mover.script("export", f"printf '{_HALF.decode()}'; cat {gate}")
    mover.script("import", f'cat >"{mover.root}/got"; echo done >{mover.root}/finished')
    into, port = mover.receive("script", mover.instance["disks_info"][0], 0)
    out_of = mover.send(port, "script", mover.disk("old", b"", 1), 0)
    got = mover.root / "got"
    mover.wait(lambda: got.exists() and got.read_bytes() == _HALF, "the first half")
    opened = os.open(gate, os.O_RDWR)
    yield out_of, into, opened
    with contextlib.suppress(OSError):
        os.close(opened)


def _no_script_has_finished(mover: transfers.Mover) -> None:
    """Check that a script that reads has not taken a half for the whole."""
    assert not (mover.root / "finished").exists()


def test_a_sender_that_is_killed_is_noticed_on_both_sides(
    mover: transfers.Mover, held: Any
) -> None:
    out_of, into, _ = held
    os.kill(mover.pid(out_of), signal.SIGKILL)
    sent, received = mover.ended(out_of, into)
    assert sent["error_message"] == "the transfer's process was killed"
    assert received["error_message"].startswith("the connection broke") or (
        received["error_message"] == "the sender broke off: the data is not whole"
    )
    assert (sent["exit_status"], received["exit_status"]) == (1, 1)
    _no_script_has_finished(mover)
    mover.wait(lambda: not mover.processes(), "the end of the scripts")


def test_a_receiver_that_is_killed_is_noticed_on_both_sides(
    mover: transfers.Mover, held: Any
) -> None:
    out_of, into, gate = held
    os.kill(mover.pid(into), signal.SIGKILL)
    mover.wait(lambda: "exit_status" in mover.status(into), "the death")
    os.write(gate, bytes(65536))
    sent, received = mover.ended(out_of, into)
    assert sent["error_message"].startswith("the receiver broke off")
    assert received["error_message"] == "the transfer's process was killed"
    _no_script_has_finished(mover)
    mover.wait(lambda: not mover.processes(), "the end of the scripts")


def test_transfers_go_on_while_the_node_daemon_is_killed_and_comes_back(
    mover: transfers.Mover, held: Any
) -> None:
    out_of, into, gate = held
    mover.noded.kill()
    mover.noded.start()
    assert "exit_status" not in mover.status(out_of)
    assert mover.status(into)["connected"] is True
    os.write(gate, b", and the rest")
    os.close(gate)  # the script's cat ends when nobody has it open
    assert [said["exit_status"] for said in mover.ended(out_of, into)] == [0, 0]
    assert (mover.root / "got").read_bytes() == _HALF + b", and the rest"
    assert (mover.root / "finished").read_text() == "done\n"


def test_who_is_told_to_end_ends_with_all_it_has_started(mover: transfers.Mover, held: Any) -> None:
    out_of, into, _ = held
    assert mover.noded.call("impexp_abort", out_of) is None
    sent, received = mover.ended(out_of, into)
    assert (sent["exit_status"], sent["error_message"]) == (-signal.SIGTERM, "aborted")
    assert received["exit_status"] == 1
    _no_script_has_finished(mover)
    mover.wait(lambda: not mover.processes(), "the end of the scripts")
    assert mover.noded.call("impexp_abort", out_of) is None  # nothing is left to end


def test_cleaning_up_ends_what_runs(mover: transfers.Mover, held: Any) -> None:
    out_of, into, _ = held
    for name in (out_of, into):
        assert mover.noded.call("impexp_cleanup", name) is None
    assert transfers.names(mover.transfers) == []
    _no_script_has_finished(mover)
    mover.wait(lambda: not mover.processes(), "the end of all processes")
    assert mover.noded.call("impexp_status", [out_of, "nobody"]) == [None, None]


def test_a_transfer_that_hangs_is_killed_to_clean_up(mover: transfers.Mover, held: Any) -> None:
    _, into, _ = held
    pid = mover.pid(into)
    os.kill(pid, signal.SIGSTOP)
    assert mover.noded.call("impexp_cleanup", into) is None
    mover.wait(lambda: not Path(f"/proc/{pid}").exists(), "its end")


@pytest.mark.root
def test_a_full_disk_is_told_on_both_sides(mover: transfers.Mover) -> None:
    mover.exports.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "x", mover.exports], check=True)
    try:
        old = mover.disk("old", os.urandom(4 * transfers.MIB), 4)
        into, port = mover.receive("file", "/srv/ganeti/export/x.new/dump")
        sent, received = mover.ended(mover.send(port, "raw", old), into)
        assert received["error_message"] == "cannot be written: No space left on device"
        assert sent["error_message"].startswith("the receiver broke off")
        mover.script("import", f'cat >"{mover.exports}/more"')
        into, port = mover.receive("script", mover.instance["disks_info"][0], 0)
        sent, received = mover.ended(mover.send(port, "raw", old), into)
        assert received["error_message"] == "import failed with exit status 1"
        assert any("No space left" in line for line in received["recent_output"])
        with pytest.raises(errors.Failure, match=r"cannot be finished.*No space left"):
            mover.noded.call("finalize_export", mover.instance, [])
        assert mover.noded.call("export_list") == ["k1.example.com.new", "more", "x.new"]
    finally:
        subprocess.run(["umount", mover.exports], check=True)


@pytest.mark.root
def test_without_room_for_its_status_no_transfer_starts(mover: transfers.Mover) -> None:
    mover.transfers.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1", "x", mover.transfers], check=True)
    try:
        with pytest.raises(errors.Failure, match=r"cannot be set up: .*No space left"):
            mover.receive("raw", mover.disk("new", b"", 1))
    finally:
        subprocess.run(["umount", mover.transfers], check=True)
    mover.wait(lambda: not mover.processes(), "the end of all processes")


@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_nothing_is_written_beyond_a_disks_end(mover: transfers.Mover, form: str) -> None:
    old = mover.disk("old", os.urandom(4 * transfers.MIB), 4)
    new = mover.disk("new", b"", 2, format=form)
    into, port = mover.receive("raw", new)
    _, received = mover.ended(mover.send(port, "raw", old), into)
    assert received["error_message"] == ("there is more data than the disk has room for (2 MiB)")
    if form == "raw":
        assert mover.path(new).stat().st_size == 2 * transfers.MIB


def test_a_broken_stream_of_packed_data_is_refused(mover: transfers.Mover) -> None:
    old, new = mover.disk("old", os.urandom(transfers.MIB), 1), mover.disk("new", b"", 1)
    into, port = mover.receive("raw", new, compress="gzip")
    sent, received = mover.ended(mover.send(port, "raw", old, compress="none"), into)
    assert received["exit_status"] == sent["exit_status"] == 1
    assert received["error_message"] == "gzip failed with exit status 1"
    assert any("not in gzip format" in line for line in received["recent_output"])


def test_data_of_another_transfer_is_refused(mover: transfers.Mover) -> None:
    old, new = mover.disk("old", b"x", 1), mover.disk("new", b"", 1)
    into, port = mover.receive("raw", new, magic="the-right-one")
    sent, received = mover.ended(mover.send(port, "raw", old, magic="the-wrong-one"), into)
    assert "magic word is not the one expected" in received["error_message"]
    assert sent["exit_status"] == 1
    assert mover.path(new).read_bytes() == bytes(transfers.MIB)


def test_strangers_are_turned_away_and_hold_up_nobody(mover: transfers.Mover) -> None:
    old, new = mover.disk("old", b"x", 1), mover.disk("new", b"", 1)
    into, port = mover.receive("raw", new)
    stranger = nodedaemons.cluster("stranger.example.com")
    silent = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(8)]
    for shown in (stranger.server.pem, None):
        context = nodedaemons.context(shown, mover.noded.cluster.server.pem)
        with (
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            pytest.raises((ssl.SSLError, ConnectionError)),
            context.wrap_socket(plain, suppress_ragged_eofs=False) as secured,
        ):
            secured.recv(1)
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            plain.recv(100)
    said = mover.ended(mover.send(port, "raw", old), into)
    assert [one["exit_status"] for one in said] == [0, 0]
    turned_away = [line for line in said[1]["recent_output"] if "was turned away" in line]
    assert len(turned_away) == 3
    for one in silent:
        one.close()


def test_an_import_that_is_not_there_is_given_up(mover: transfers.Mover) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        out_of = mover.send(bound.getsockname()[1], "raw", mover.disk("old", b"", 1))
        mover.wait(
            lambda: any("no connection" in line for line in mover.status(out_of)["recent_output"]),
            "a second attempt",
        )
        mover.noded.call("impexp_abort", out_of)
        mover.ended(out_of)


def test_what_is_asked_for_wrongly_is_refused(mover: transfers.Mover) -> None:
    mover.exports.mkdir(parents=True)
    (mover.exports / "link").symlink_to("/etc")
    for end, words in (
        (["file", ["/srv/ganeti/export/../x"]], "not normalized or absolute"),
        (["file", ["export/x"]], "not normalized or absolute"),
        (["file", ["/etc/passwd"]], "not under exports directory"),
        (["file", ["/srv/ganeti/export/link/passwd"]], "not under exports directory"),
        (["file", ["/srv/ganeti/export"]], "not under exports directory"),
        (["file", []], "Invalid import I/O mode 'file'"),
        (["tape", ["x"]], "Invalid import I/O mode 'tape'"),
        (["raw", [{"dev_type": "file"}]], "logical_id"),
        (["script", [{"dev_type": "file", "logical_id": ["loop", "/x"]}, "0"]], "'script'"),
    ):
        with pytest.raises(errors.Failure, match=words):
            mover.noded.call("import_start", {}, mover.instance, "disk0", end)
    assert not mover.transfers.exists()


def test_options_that_make_no_sense_are_refused(mover: transfers.Mover) -> None:
    disk = mover.disk("new", b"", 1)
    for options, words in (
        ({"key_name": "x"}, "go together"),
        ({"ca_pem": "x"}, "go together"),
        ({"key_name": "../../etc", "ca_pem": "x"}, "not the name of a key"),
        ({"key_name": "nosuch", "ca_pem": "x"}, "does not exist"),
        ({"magic": "no"}, "is no magic"),
        ({"compress": "rm -rf"}, "is not a compression tool"),
        ({"compress": "nosuchtool"}, "nosuchtool is not installed"),
        ({"connect_timeout": -1}, "nobody waits"),
        ({"compress": 7}, "compress"),
    ):
        with pytest.raises(errors.Failure, match=words):
            mover.noded.call("import_start", options, mover.instance, "disk0", ["raw", [disk]])
    for call, argument in (
        ("impexp_status", ["../x"]), ("impexp_abort", "../x"), ("impexp_cleanup", "."),
        ("x509_cert_remove", ".."), ("export_remove", "../.."), ("x509_cert_create", 0),
    ):  # fmt: skip
        with pytest.raises(errors.Failure, match=r"is not the name of|cannot be good for"):
            mover.noded.call(call, argument)
    with pytest.raises(errors.Failure, match="is not a part of an instance"):
        mover.noded.call("import_start", {}, mover.instance, "disk/0", ["raw", [disk]])
    with pytest.raises(errors.Failure, match="'nosuchservice' is not a service"):
        mover.noded.call(
            "export_start", {}, "127.0.0.1", "nosuchservice", mover.instance, "disk0",
            ["raw", [disk]],
        )  # fmt: skip
    assert not mover.transfers.exists() or transfers.names(mover.transfers) == []
    mover.wait(lambda: not mover.processes(), "the end of all processes")


def test_a_status_that_is_no_status_is_said(mover: transfers.Mover) -> None:
    folder = mover.transfers / "import-x"
    folder.mkdir(parents=True)
    (folder / "status").write_text("{")
    with pytest.raises(errors.Failure, match="is not a transfer's status"):
        mover.noded.call("impexp_status", ["import-x"])
    (folder / "status").write_text(json.dumps({"recent_output": [], "ctime": 1, "mtime": 2}))
    (said,) = mover.noded.call("impexp_status", ["import-x"])
    assert said["error_message"] == "the transfer's process was killed"
