"""The calls on files, the queue and the node itself, as a real master sends them."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lab import nodedaemons
from pyganeti.base import errors, processes
from pyganeti.wire import noderpc

_GOLDEN = Path(__file__).parents[2] / "golden/rpc"
_QUEUE = "/var/lib/ganeti/queue"
_YES, _NO = True, False


def _recorded(call: str) -> list[list[Any]]:
    """Return the arguments that a real master sent."""
    found: list[list[Any]] = json.loads((_GOLDEN / f"{call}.json").read_bytes())
    return found


@pytest.mark.parametrize("call", ["jobqueue_update", "upload_file_single"])
def test_what_a_real_master_sends_is_carried_out(call: str, noded: nodedaemons.Noded) -> None:
    for arguments in _recorded(call):
        assert noded.call(call, *arguments) is None
    assert not noded.log_lines(" ERROR ")


def test_the_simple_settings_are_as_a_real_master_sends_them(short_dir: Path) -> None:
    """It was recorded before there was a map of candidates."""
    with nodedaemons.Noded(short_dir, with_map=False) as noded:
        own = noded.context(noded.cluster.server.pem)
        for arguments in _recorded("write_ssconf_files"):
            body = noderpc.encode_arguments(arguments)
            answer = noded.post("/write_ssconf_files", body, secured=own)
            assert answer == (200, b"[true,null]")
    (values,) = _recorded("write_ssconf_files")[-1]
    for name, lines in values.items():
        path = noded.layout.ssconf(name)
        text = "\n".join(lines)
        assert path.read_text() == (text + "\n" if text else "")
        assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_the_master_is_who_the_settings_say(noded: nodedaemons.Noded) -> None:
    with pytest.raises(errors.Failure, match="Cluster configuration incomplete"):
        noded.call("master_node_name")
    noded.call("write_ssconf_files", {"master_node": "node1.example.com"})
    assert noded.call("master_node_name") == "node1.example.com"


@pytest.mark.parametrize("name", ["../x", "", "a/b", "x" * 300])
def test_a_setting_of_a_wrong_name_writes_nothing(name: str, noded: nodedaemons.Noded) -> None:
    before = sorted(noded.layout.state_dir.iterdir())
    with pytest.raises(errors.Failure):
        noded.call("write_ssconf_files", {name: "x"})
    assert sorted(noded.layout.state_dir.iterdir()) == before


def test_an_uploaded_file_has_its_content_mode_and_times(noded: nodedaemons.Noded) -> None:
    arguments = _recorded("upload_file_single")[-1]
    noded.call("upload_file_single", *arguments)
    path = noded.layout.state_dir / "config.data"
    status = path.stat()
    assert path.read_bytes() == noderpc.decode_blob(arguments[1])
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert (status.st_atime, status.st_mtime) == (arguments[5], arguments[6])
    assert status.st_uid == os.geteuid()


def test_an_upload_in_one_argument_is_the_same(noded: nodedaemons.Noded) -> None:
    path = "/var/lib/ganeti/rapi/users"
    noded.call("upload_file", [path, [0, "jack secret write\n"], 0o600, "root", "root", None, None])
    written = noded.layout.localize(path)
    assert written.read_text() == "jack secret write\n"
    noded.call("upload_file_single", path, [0, ""], None, "root", "nobody-knows-it", None, 5)
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "/etc/ganeti/file-storage-paths",
        "/var/lib/ganeti/server.pem",
        "/var/lib/ganeti/rapi/../config.data",
        "/var/lib/ganeti/config.data/",
        "config.data",
        "",
    ],
)
def test_no_other_file_may_be_uploaded(name: str, noded: nodedaemons.Noded) -> None:
    before = noded.layout.server_certificate.read_bytes()
    with pytest.raises(errors.Failure, match="may be uploaded"):
        noded.call("upload_file_single", name, [0, "x"], 0o600, "root", "root", None, None)
    assert noded.layout.server_certificate.read_bytes() == before
    assert not (noded.layout.root / "etc").exists()


def test_a_damaged_upload_leaves_the_old_file(noded: nodedaemons.Noded) -> None:
    path = noded.layout.state_dir / "config.data"
    path.write_text("old")
    for content in ([1, "garbage"], [5, "x"], "x", [0, 5]):
        with pytest.raises(errors.Failure):
            noded.call(
                "upload_file_single", "/var/lib/ganeti/config.data", content, 0o600, "root", "root"
            )
    assert path.read_text() == "old"


@pytest.mark.root
def test_a_full_disk_is_said_and_costs_nothing(short_dir: Path) -> None:
    root = short_dir / "root"
    state = root / "var/lib/ganeti"
    state.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "pyganeti-test", str(state)], check=True
    )
    try:
        with nodedaemons.Noded(root) as noded:
            noded.call("jobqueue_update", f"{_QUEUE}/job-1", [0, "old"])
            with pytest.raises(errors.Failure, match="No space left"):
                noded.call("jobqueue_update", f"{_QUEUE}/job-1", [0, "x" * 200_000])
            assert (noded.layout.queue_dir / "job-1").read_text() == "old"
            assert sorted(p.name for p in noded.layout.queue_dir.iterdir()) == [
                "job-1",
                "lock",
                "version",
            ]
    finally:
        subprocess.run(["umount", "--lazy", str(state)], check=True)


def test_jobs_are_kept_renamed_and_purged(noded: nodedaemons.Noded) -> None:
    for arguments in _recorded("jobqueue_update"):
        noded.call("jobqueue_update", *arguments)
    queue = noded.layout.queue_dir
    assert (queue / "serial").read_text() == "2\n"
    assert (queue / "version").read_text() == "1\n"
    assert json.loads((queue / "job-1").read_text())["id"] == 1
    assert stat.S_IMODE((queue / "job-1").stat().st_mode) == 0o640
    pair = [f"{_QUEUE}/job-1", f"{_QUEUE}/archive/0/job-1"]
    for _ in range(2):  # a master that heard no answer asks again
        assert noded.call("jobqueue_rename", [pair]) == [None]
        assert not (queue / "job-1").exists()
        assert (queue / "archive/0/job-1").exists()
    with pytest.raises(errors.Failure, match="cannot become"):
        noded.call("jobqueue_rename", [[f"{_QUEUE}/job-7", f"{_QUEUE}/archive/0/job-7"]])
    noded.call("jobqueue_purge")
    assert [str(p.relative_to(queue)) for p in sorted(queue.rglob("*"))] == [
        "archive",
        "archive/0",
        "archive/0/job-1",  # no master would send it again
        "lock",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "/var/lib/ganeti/config.data",
        f"{_QUEUE}/../server.pem",
        _QUEUE,
        f"{_QUEUE}/lock",
        f"{_QUEUE}x/job-1",
        "job-1",
        "",
        f"{_QUEUE}/a\0b",
    ],
)
def test_only_the_queues_files_are_written(name: str, noded: nodedaemons.Noded) -> None:
    with pytest.raises(errors.Failure, match=r"not a file of the job queue|not an absolute path"):
        noded.call("jobqueue_update", name, [0, "x"])
    with pytest.raises(errors.Failure, match=r"not a file of the job queue|not an absolute path"):
        noded.call("jobqueue_rename", [[f"{_QUEUE}/job-1", name]])
    assert not noded.layout.queue_dir.exists()


def test_the_queue_is_drained_and_not(noded: nodedaemons.Noded) -> None:
    drain = noded.layout.queue_dir / "drain"
    for drained in (True, True, False, False):
        noded.call("jobqueue_set_drain_flag", drained)
        assert drain.exists() is drained


def test_who_has_the_queue_locked_is_waited_for(noded: nodedaemons.Noded) -> None:
    noded.layout.queue_dir.mkdir()
    with (noded.layout.queue_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError):
            noded.call("jobqueue_update", f"{_QUEUE}/job-1", [0, "x"], timeout=0.3)
        assert not (noded.layout.queue_dir / "job-1").exists()
        assert noded.call("version") == noderpc.PROTOCOL
    noded.wait((noded.layout.queue_dir / "job-1").exists, "the update")


def test_the_watchers_pause_is_set_read_and_ended(noded: nodedaemons.Noded) -> None:
    until = int(time.time()) + 600
    noded.call("set_watcher_pause", until + 0.5)
    assert noded.call("get_watcher_pause") == until
    noded.call("set_watcher_pause", None)
    assert noded.call("get_watcher_pause") is None
    pause = noded.layout.state_dir / "watcher.pause"
    for content, stays in ((f"{until - 700}\n", True), ("5\n", False), ("nonsense", False)):
        pause.write_text(content)
        assert noded.call("get_watcher_pause") is None
        assert pause.exists() is stays


def test_a_delay_takes_its_time_and_makes_sense(noded: nodedaemons.Noded) -> None:
    began = time.monotonic()
    assert noded.call("test_delay", 0.1) is None
    assert time.monotonic() - began >= 0.1
    with pytest.raises(errors.Failure, match="Invalid sleep duration"):
        noded.call("test_delay", -1)


def test_a_files_size_is_told(noded: nodedaemons.Noded) -> None:
    (noded.layout.root / "srv").mkdir()
    (noded.layout.root / "srv/image").write_bytes(bytes(1234))
    assert noded.call("get_file_info", "/srv/image") == [True, {"size": 1234}]
    assert noded.call("get_file_info", "/srv/other") == [False, {}]
    with pytest.raises(errors.Failure, match="absolute"):
        noded.call("get_file_info", "srv/image")


def test_the_nodes_certificate_is_told_by_its_digest(noded: nodedaemons.Noded) -> None:
    digest = noded.cluster.client.digest
    assert noded.call("node_crypto_tokens", [["ssl", "get", {}]]) == [["ssl", digest]]
    assert noded.call("node_crypto_tokens", [["ssl", "get", None]]) == [["ssl", digest]]


def test_only_kvmd_is_started_and_stopped(short_dir: Path) -> None:
    commands = short_dir / "bin"
    commands.mkdir()
    command = commands / "ganeti-kvmd"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pyganeti.kvmd.command "$@"\n')
    command.chmod(0o755)
    path = f"{commands}:{os.environ['PATH']}"
    with nodedaemons.Noded(short_dir / "root", environment={"PATH": path}) as noded:
        assert noded.call("node_ensure_daemon", "ganeti-noded", _YES) is False
        assert noded.call("node_ensure_daemon", "sshd", _NO) is False
        pid_file = noded.layout.pid_file("ganeti-kvmd")
        try:
            assert noded.call("node_ensure_daemon", "ganeti-kvmd", _YES) is True
            pid = int(pid_file.read_text())
            assert noded.call("node_ensure_daemon", "ganeti-kvmd", _YES) is True
            assert int(pid_file.read_text()) == pid
        finally:
            assert noded.call("node_ensure_daemon", "ganeti-kvmd", _NO) is True
        assert processes.state(pid) in {None, "Z"}
        assert noded.call("node_ensure_daemon", "ganeti-kvmd", _NO) is True


def test_a_node_that_shares_its_machine_is_not_rebooted(noded: nodedaemons.Noded) -> None:
    with pytest.raises(errors.Failure, match="to reboot this node by"):
        noded.call("node_powercycle", "kvm", {})


def test_a_reboot_is_answered_first_and_needs_no_disk(short_dir: Path) -> None:
    trigger = short_dir / "proc/sysrq-trigger"
    trigger.parent.mkdir()
    trigger.touch()
    with nodedaemons.Noded(short_dir) as noded, trigger.open("rb") as pulled:
        with pytest.raises(errors.Failure, match="no hypervisor xen-pvm"):
            noded.call("node_powercycle", "xen-pvm", {})
        trigger.unlink()
        trigger.parent.rmdir()
        assert noded.call("node_powercycle", "kvm", {}) == "Reboot scheduled in 5 seconds"
        assert pulled.read() == b""
        noded.wait(lambda: pulled.read() == b"b", "the reboot")


def test_a_node_that_leaves_keeps_nothing_of_the_cluster_and_ends(
    noded: nodedaemons.Noded,
) -> None:
    layout = noded.layout
    ssh = layout.root / "root/.ssh"
    ssh.mkdir(parents=True)
    (ssh / "id_rsa").write_text("secret")
    (ssh / "id_rsa.pub").write_text("ssh-rsa AAAAown root@node1\n")
    others = "# people\nssh-rsa AAAAother admin@desk\n"
    (ssh / "authorized_keys").write_text(f"{others}ssh-rsa AAAAown root@node1\n")
    noded.call("write_ssconf_files", {"master_node": "node1"})
    noded.call("jobqueue_update", f"{_QUEUE}/job-1", [0, "{}"])
    layout.config_generations.mkdir()
    (layout.config_generations / "config.data-20260101T000000-1").write_text("secrets in it")
    journal = layout.kvmd_journal
    journal.parent.mkdir()
    journal.write_text("stays")
    assert noded.call("node_leave_cluster", _YES) == "Shutdown scheduled"
    assert noded.wait_end() == 0
    assert [p.name for p in layout.state_dir.iterdir() if p.is_file()] == []
    assert [p.name for p in layout.queue_dir.iterdir()] == ["lock"]
    assert list(layout.config_generations.iterdir()) == []
    assert journal.read_text() == "stays"
    assert sorted(p.name for p in ssh.iterdir()) == ["authorized_keys"]
    assert (ssh / "authorized_keys").read_text() == others


def test_a_node_may_leave_and_keep_its_ssh_keys(noded: nodedaemons.Noded) -> None:
    ssh = noded.layout.root / "root/.ssh"
    ssh.mkdir(parents=True)
    (ssh / "id_rsa").write_text("secret")
    noded.call("node_leave_cluster", _NO)
    assert noded.wait_end() == 0
    assert (ssh / "id_rsa").exists()
