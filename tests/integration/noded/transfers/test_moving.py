"""An instance's data moves: between disks, scripts and dumps, packed or not, and is told of."""

import os
import subprocess
from pathlib import Path

import pytest

from lab import transfers
from pyganeti.base import errors

_CONTENT = os.urandom(transfers.MIB) + bytes(transfers.MIB) + b"the end of the data"


@pytest.mark.parametrize("compress", ["none", "gzip"])
def test_a_disk_moves_to_another_with_progress(mover: transfers.Mover, compress: str) -> None:
    old, new = mover.disk("old", _CONTENT, 8), mover.disk("new", b"", 8)
    into, port = mover.receive("raw", new, compress=compress)
    assert mover.status(into).keys() == {"recent_output", "ctime", "mtime", "listen_port"}
    out_of = mover.send(port, "raw", old, compress=compress)
    for said in mover.ended(out_of, into):
        assert said["exit_status"] == 0
        assert said["connected"] is True
        assert said["progress_mbytes"] == 8.0
        assert said["progress_percent"] == 100.0
        assert said["progress_throughput"] > 0
        assert said["progress_eta"] == 0.0
        assert "error_message" not in said
    assert mover.path(new).read_bytes() == mover.path(old).read_bytes()
    assert mover.path(new).stat().st_blocks * 512 < 4 * transfers.MIB  # zeros take no room
    assert transfers.names(mover.transfers) == []


def test_data_goes_over_ipv6_where_the_master_wants_it(mover: transfers.Mover) -> None:
    if (
        not Path("/proc/net/if_inet6").exists()
        or "lo" not in Path("/proc/net/if_inet6").read_text()
    ):
        pytest.skip("needs IPv6 on the loopback interface")
    old, new = mover.disk("old", _CONTENT, 3), mover.disk("new", b"", 3)
    into, port = mover.receive("raw", new, ipv6=True)
    out_of = mover.send(port, "raw", old, host="::1", ipv6=True)
    assert [said["exit_status"] for said in mover.ended(out_of, into)] == [0, 0]
    assert mover.path(new).read_bytes() == mover.path(old).read_bytes()


def test_what_was_on_the_target_is_overwritten_with_zeros_too(mover: transfers.Mover) -> None:
    old = mover.disk("old", b"short", 2)
    new = mover.disk("new", os.urandom(2 * transfers.MIB), 2)
    into, port = mover.receive("raw", new)
    assert [s["exit_status"] for s in mover.ended(mover.send(port, "raw", old), into)] == [0, 0]
    assert mover.path(new).read_bytes() == mover.path(old).read_bytes()


def test_a_qcow2_disk_moves_as_its_guest_sees_it(mover: transfers.Mover) -> None:
    old = mover.disk("old", _CONTENT, 8, format="qcow2")
    raw = mover.disk("raw", b"", 8)
    new = mover.disk("new", b"", 8, format="qcow2")
    for source, target in ((old, raw), (raw, new)):
        into, port = mover.receive("raw", target)
        ended = mover.ended(mover.send(port, "raw", source), into)
        assert [said["exit_status"] for said in ended] == [0, 0], mover.logs()
    assert mover.path(raw).read_bytes() == _CONTENT.ljust(8 * transfers.MIB, b"\0")
    subprocess.run(
        ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", mover.path(raw), mover.path(new)],
        check=True, timeout=20, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def test_scripts_write_and_read_and_tell_how_much_there_is(mover: transfers.Mover) -> None:
    told = mover.root / "told"
    mover.script(
        "export",
        f'echo -n 2097152 >&$EXP_SIZE_FD; eval "exec $EXP_SIZE_FD>&-"\n'
        f'echo "$EXPORT_DEVICE $EXPORT_DISK_PATH $EXPORT_INDEX $INSTANCE_NAME" >{told}\n'
        f'echo "half of it" >&2; head -c 1048576 "$EXPORT_DEVICE"; echo $PWD >>{told}',
    )
    mover.script("import", f'cat >"$IMPORT_DEVICE"; echo "$IMPORT_INDEX $DISK_COUNT" >>{told}')
    disk = mover.disk("old", _CONTENT, 1)
    into, port = mover.receive("script", mover.instance["disks_info"][0], 0)
    out_of = mover.send(port, "script", disk, 7)
    sent, received = mover.ended(out_of, into)
    assert (sent["exit_status"], received["exit_status"]) == (0, 0)
    assert sent["progress_percent"] == 50.0
    assert "export: half of it" in sent["recent_output"]
    path = mover.path(disk)
    assert told.read_text().splitlines() == [
        f"{path} {path} 7 {mover.instance['name']}", str(mover.scripts), "0 1",
    ]  # fmt: skip
    own = mover.path(mover.instance["disks_info"][0])
    assert own.read_bytes() == _CONTENT[: transfers.MIB]


def test_an_export_is_made_listed_read_imported_and_removed(mover: transfers.Mover) -> None:
    call, name = mover.noded.call, mover.instance["name"]
    with pytest.raises(errors.Failure, match="No exports directory"):
        call("export_list")
    disk, left_out = mover.disk("old", _CONTENT, 4), mover.disk("other", b"", 1)
    dump = f"/srv/ganeti/export/{name}.new/{disk['uuid']}"
    into, port = mover.receive("file", dump, compress="gzip")
    out_of = mover.send(port, "raw", disk, compress="gzip")
    assert [said["exit_status"] for said in mover.ended(out_of, into)] == [0, 0]
    assert call("export_list") == [f"{name}.new"]
    (mover.exports / f"{name}.new" / "of an attempt that failed").write_text("")
    with pytest.raises(errors.Failure, match="uuid-of-other is not in"):
        call("finalize_export", mover.instance, [disk, left_out])
    assert call("finalize_export", mover.instance, [disk, False]) is None
    assert call("export_list") == [name]
    assert transfers.names(mover.exports / name) == [
        "config.ini", disk["uuid"],
    ]  # fmt: skip
    text = call("export_info", f"/srv/ganeti/export/{name}")
    assert "disk0_dump = uuid-of-old\n" in text
    assert "disk_count = 1\n" in text
    assert "os = mover\n" in text

    new = mover.disk("new", b"", 4)
    into, port = mover.receive("raw", new)
    out_of = mover.send(port, "file", f"/srv/ganeti/export/{name}/{disk['uuid']}")
    assert [said["exit_status"] for said in mover.ended(out_of, into)] == [0, 0]
    assert mover.path(new).read_bytes() == mover.path(disk).read_bytes()

    assert call("export_remove", name) is None
    assert call("export_list") == []
    with pytest.raises(errors.Failure, match="Error while removing the export"):
        call("export_remove", name)
    with pytest.raises(errors.Failure, match=r"config\.ini"):
        call("export_info", f"/srv/ganeti/export/{name}")


def test_a_new_export_takes_the_place_of_the_old(mover: transfers.Mover) -> None:
    name = mover.instance["name"]
    for content in ("first", "second"):
        new = mover.exports / f"{name}.new"
        new.mkdir(parents=True)
        disk = mover.disk(content, b"", 1)
        (new / disk["uuid"]).write_text(content)
        mover.noded.call("finalize_export", mover.instance, [disk])
    assert (mover.exports / name / "uuid-of-second").read_text() == "second"
    assert transfers.names(mover.exports) == [name]
    assert transfers.names(mover.exports / name) == ["config.ini", "uuid-of-second"]


def test_two_clusters_trust_each_other_by_keys_made_for_the_occasion(
    mover: transfers.Mover,
) -> None:
    call = mover.noded.call
    (ours, our_certificate), (theirs, their_certificate) = (
        call("x509_cert_create", 3600) for _ in "ab"
    )
    keys = mover.noded.layout.run_dir / "crypto"
    assert transfers.names(keys / ours) == ["cert", "key"]
    assert (keys / ours / "key").stat().st_mode & 0o777 == 0o400
    assert "PRIVATE" not in our_certificate
    old, new = mover.disk("old", _CONTENT, 3), mover.disk("new", b"", 3)
    into, port = mover.receive("raw", new, key_name=ours, ca_pem=their_certificate)
    stranger = mover.send(port, "raw", old)
    (said,) = mover.ended(stranger)
    assert "cannot be trusted" in said["error_message"]
    out_of = mover.send(port, "raw", old, key_name=theirs, ca_pem=our_certificate)
    assert [said["exit_status"] for said in mover.ended(out_of, into)] == [0, 0]
    assert mover.path(new).read_bytes() == mover.path(old).read_bytes()
    for name in (ours, theirs):
        assert call("x509_cert_remove", name) is None
    assert transfers.names(keys) == []
    with pytest.raises(errors.Failure, match="Cannot remove certificate directory"):
        call("x509_cert_remove", ours)


def test_what_waits_for_nobody_ends_by_itself(mover: transfers.Mover) -> None:
    into, _ = mover.receive("raw", mover.disk("new", b"", 1), connect_timeout=1)
    (said,) = mover.ended(into)
    assert said["exit_status"] == 1
    assert said["error_message"] == "no peer connected within 1 s"


def test_the_log_has_what_was_said(mover: transfers.Mover, tmp_path: Path) -> None:
    mover.script("export", "echo oops >&2; exit 3")
    into, port = mover.receive("file", f"/srv/ganeti/export/x.new/{'d' * 8}")
    out_of = mover.send(port, "script", mover.disk("old", b"", 1), 0)
    sent, received = mover.ended(out_of, into)
    assert (sent["exit_status"], received["exit_status"]) == (1, 1)
    assert sent["error_message"] == "export failed with exit status 3"
    (log,) = mover.noded.layout.log_dir.glob("os/export-mover-k1.example.com-disk0-*.log")
    assert "export: oops" in log.read_text()
