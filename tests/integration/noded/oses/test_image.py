"""The OS `image`: cloud images on real disks, seeds that other tools and a guest can read."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from lab import cloudimages, guests, transfers
from pyganeti.base import errors
from pyganeti.noded.oses import definition

_MIB = 1024 * 1024
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh1 somebody@example.com"
_THEIRS = Path("/usr/share/ganeti/3.0")
_SEED_AT = 15 * _MIB
"""Where the seed is on a disk of 20 MiB."""


@pytest.fixture(autouse=True)
def tools() -> None:
    for tool in ("qemu-img", "sfdisk", "xorriso", "isoinfo"):
        if not shutil.which(tool):
            pytest.skip(f"needs {tool} (scripts/setup installs it)")


def _install(mover: transfers.Mover, *disks: dict[str, Any], **parameters: str) -> Path:
    mover.instance["osparams"] = parameters
    mover.instance["disks_info"] = list(disks)
    mover.noded.call("instance_os_add", mover.instance, True, 0)  # noqa: FBT003 - JSON
    return mover.path(disks[0])


def _validate(mover: transfers.Mover, **parameters: str) -> object:
    is_required, may_be_any = True, False
    return mover.noded.call(
        "os_validate", is_required, "image", ["parameters"], parameters, may_be_any
    )


def _dirty(mover: transfers.Mover, mebibytes: int = 20, **params: str) -> dict[str, Any]:
    """Make a disk that had something else before."""
    return mover.disk(f"disk{mebibytes}", os.urandom(mebibytes * _MIB), mebibytes, **params)


def _seed_of(disk: Path, tmp_path: Path, at: int = _SEED_AT) -> dict[str, str]:
    """Read a seed as other people's tools do."""
    found = subprocess.run(
        ["blkid", "-p", "-O", str(at), "-o", "export", disk],
        check=True, timeout=20, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert {"LABEL=cidata", "TYPE=iso9660"} <= set(found.stdout.decode().splitlines())
    iso = tmp_path / "seed.iso"
    iso.write_bytes(disk.read_bytes()[at : at + 4 * _MIB])
    told = {}
    for name in ("meta-data", "user-data", "network-config"):
        read = subprocess.run(
            ["isoinfo", "-R", "-i", iso, "-x", f"/{name}"],
            check=True, timeout=20, stdout=subprocess.PIPE,
        )  # fmt: skip
        told[name] = read.stdout.decode()
    return told


def _table(disk: Path) -> list[str]:
    dump = subprocess.run(["sfdisk", "--dump", disk], check=True, timeout=20, capture_output=True)
    assert not dump.stderr, dump.stderr  # a second copy in the wrong place, say
    return [line.partition(" : ")[2] for line in dump.stdout.decode().splitlines() if " : " in line]


def test_it_is_there_without_being_installed(mover: transfers.Mover) -> None:
    told = {name: rest for name, *rest in mover.noded.call("os_diagnose") if name == "image"}
    path, usable, why, variants, parameters, versions, trusted = told["image"]
    assert (path, usable, why) == (str(definition.SHIPPED / "image"), True, "")
    assert (variants, versions, trusted) == ([], [20], True)
    assert {name for name, _ in parameters} >= {"image", "sha256", "ssh_keys", "user_data"}
    assert _validate(mover, image="/srv/x.qcow2", sha256="0" * 64) is True
    with pytest.raises(errors.Failure, match="image: format is one of"):
        _validate(mover, format="x")
    with pytest.raises(errors.Failure, match="not supported by the OS image: colour"):
        _validate(mover, colour="x")


@pytest.mark.skipif(not _THEIRS.exists(), reason="needs Ganeti's own code (package ganeti-3.0)")
def test_ganetis_own_node_daemon_takes_it() -> None:
    asked = f"""
import sys
sys.path.insert(0, {str(_THEIRS)!r})
from ganeti import backend
find = backend._TryOSFromDisk
backend._TryOSFromDisk = lambda name, place=None: find(name, {str(definition.SHIPPED)!r})
assert backend.ValidateOS(True, "image", ["parameters"], {{"image": "/x"}}, False) is True
try:
    backend.ValidateOS(True, "image", ["parameters"], {{"image": "x"}}, False)
except backend.RPCFail as error:
    print(error)
"""
    said = subprocess.run(
        ["/usr/bin/python3", "-c", asked],
        check=True, timeout=30, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert b"image: image: 'x' is not an absolute path" in said.stdout


@pytest.mark.qemu
def test_a_guest_finds_its_seed_on_its_only_disk(mover: transfers.Mover, tmp_path: Path) -> None:
    image = tmp_path / "image"
    checked = cloudimages.make(image, "dos", code=cloudimages.reader())
    disk = _install(mover, _dirty(mover), image=str(image), sha256=checked, ssh_keys=_KEY)
    assert cloudimages.boot(disk, tmp_path / "serial") == b"cidata"


@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_an_image_with_a_gpt_gets_its_seed_in_a_partition(
    mover: transfers.Mover, tmp_path: Path, form: str
) -> None:
    image = tmp_path / "image"
    checked = cloudimages.make(image, "gpt", form=form)
    user_data = "#cloud-config\nruncmd:\n  - [touch, /x]"
    disk = _install(
        mover, _dirty(mover), image=str(image), sha256=checked, ssh_keys=_KEY, user_data=user_data
    )
    root, own = _table(disk)
    assert 'name="root"' in root
    assert 'name="cidata"' in own
    raw = tmp_path / "raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True, timeout=20)
    assert disk.read_bytes()[:440] == raw.read_bytes()[:440] == cloudimages.CODE
    assert disk.read_bytes()[_MIB : 7 * _MIB] == raw.read_bytes()[_MIB : 7 * _MIB]
    told = _seed_of(disk, tmp_path)
    meta = json.loads(told["meta-data"])
    assert meta["local-hostname"] == mover.instance["name"]
    assert meta["instance-id"] == mover.instance["uuid"]
    assert meta["public-keys"] == [_KEY]
    assert told["user-data"] == user_data
    assert "aa:bb:cc:73:f4:91" in told["network-config"]


def test_a_renamed_instance_learns_its_name_from_its_seed(
    mover: transfers.Mover, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    checked = cloudimages.make(image, "gpt")
    disk = _install(mover, _dirty(mover), image=str(image), sha256=checked)
    image.unlink()
    mover.instance["name"] = "other.example.com"
    mover.noded.call("instance_run_rename", mover.instance, "k1.example.com", 0)
    meta = json.loads(_seed_of(disk, tmp_path)["meta-data"])
    assert meta["local-hostname"] == "other.example.com"


@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_a_disk_that_is_there_for_it_takes_the_seed(
    mover: transfers.Mover, tmp_path: Path, form: str
) -> None:
    image = tmp_path / "image"
    checked = cloudimages.make(image, "gpt", mebibytes=20)  # as large as the disk
    own = {**mover.disk("own", b"", 4, format=form), "name": "cidata"}
    parameters = {"image": str(image), "sha256": checked}
    disk = _install(mover, _dirty(mover, format=form), own, **parameters)
    disk, seed = (_as_raw(path, form, tmp_path) for path in (disk, mover.path(own)))
    assert disk.read_bytes() == image.read_bytes()
    assert json.loads(_seed_of(seed, tmp_path, 0)["meta-data"])["instance-id"]
    mover.instance["name"] = "other.example.com"
    mover.noded.call("instance_run_rename", mover.instance, "k1.example.com", 0)
    seed = _as_raw(mover.path(own), form, tmp_path)
    assert "other.example.com" in _seed_of(seed, tmp_path, 0)["meta-data"]


def _as_raw(path: Path, form: str, tmp_path: Path) -> Path:
    raw = tmp_path / f"{path.name}.raw"
    subprocess.run(
        ["qemu-img", "convert", "-f", form, "-O", "raw", path, raw], check=True, timeout=20
    )
    return raw


@pytest.mark.qemu
def test_a_boot_sector_is_an_image_too(mover: transfers.Mover, tmp_path: Path) -> None:
    image = tmp_path / "sector"
    image.write_bytes(guests.at_once(guests.Command.POWER_OFF))
    disk = _install(
        mover, mover.disk("small", os.urandom(_MIB), 1),
        image=str(image), sha256=cloudimages.sum_of(image),
    )  # fmt: skip
    assert disk.read_bytes()[:512] == image.read_bytes()
    assert cloudimages.boot(disk, tmp_path / "serial") == b""


def test_a_wrong_sum_is_said_and_nothing_is_written(mover: transfers.Mover, tmp_path: Path) -> None:
    image = tmp_path / "image"
    cloudimages.make(image, "gpt")
    described = mover.disk("empty", b"", 20)
    with pytest.raises(errors.Failure) as refused:
        _install(mover, described, image=str(image), sha256="0" * 64)
    assert f"its SHA-256 sum is {cloudimages.sum_of(image)}, not {'0' * 64}" in str(refused.value)
    assert "nothing was written" in str(refused.value)
    assert mover.path(described).read_bytes() == bytes(20 * _MIB)


def test_what_cannot_work_is_refused_before_anything_is_written(
    mover: transfers.Mover, tmp_path: Path
) -> None:
    image, sector = tmp_path / "image", tmp_path / "sector"
    checked = cloudimages.make(image, "gpt")
    sector.write_bytes(guests.idle())
    backed = tmp_path / "backed"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image, backed],
        check=True, timeout=20,
    )  # fmt: skip
    before = os.urandom(_MIB)
    good = {"image": str(image), "sha256": checked}
    for size, parameters, words in (
        (4, good, "has 8 MiB, and the disk 4 MiB only; nothing was written"),
        (9, good, "has 8 MiB, its seed needs 5 MiB, and the disk has 9 MiB only"),
        (20, {**good, "image": str(tmp_path / "gone")}, "gone: No such file"),
        (20, {**good, "image": str(tmp_path)}, "neither a file nor a block device"),
        (20, {"image": str(image)}, "no sum is given"),
        (20, {"sha256": checked}, "no image is named"),
        (20, {**good, "seed": "disk"}, "no disk of the instance is named cidata"),
        (20, {**good, "format": "qcow2"}, "Image is not in qcow2 format"),
        (20, {**good, "ssh_keys": "/no/such/keys"}, "cannot be read"),
        (20, {"image": str(backed), "sha256": "unchecked"}, "other files belong to it"),
        (20, {"image": str(sector), "sha256": "unchecked", "hostname": "x"}, "no place for the"),
    ):
        disk = mover.disk("refused", before, size)
        with pytest.raises(errors.Failure, match=words):
            _install(mover, disk, **parameters)
        assert mover.path(disk).read_bytes() == before.ljust(size * _MIB, b"\0"), words


@pytest.mark.root
def test_a_disk_that_could_not_be_finished_does_not_boot(
    mover: transfers.Mover, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    checked = cloudimages.make(image, "gpt")
    described = mover.disk("x", b"", 1)
    room = mover.path(described).parent
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "x", room], check=True)
    try:
        full = mover.disk("full", cloudimages.CODE.ljust(512, b"\x55"), 20)
        with (room / "full").open("r+b") as file:
            file.seek(8 * _MIB)
            file.write(os.urandom(3 * _MIB))
        with pytest.raises(errors.Failure, match=r"(?s)No space left.*|left unbootable"):
            _install(mover, full, image=str(image), sha256=checked)
        assert mover.path(full).read_bytes()[:_MIB] == bytes(_MIB)
        (log,) = (mover.noded.layout.log_dir / "os").glob("add-image-*")
        assert "the disk was left unbootable" in log.read_text()
    finally:
        subprocess.run(["umount", room], check=True)


def test_a_script_that_is_killed_leaves_a_disk_that_does_not_boot(
    mover: transfers.Mover, tmp_path: Path
) -> None:
    # The tool that writes is held on its way, and everybody is killed.
    image = tmp_path / "image"
    checked = cloudimages.make(image, "gpt", mebibytes=64)
    disk = mover.path(_dirty(mover, 80))
    held = tmp_path / "held"
    fake = tmp_path / "bin"
    fake.mkdir()
    wrapper = fake / "qemu-img"
    wrapper.write_text(
        f'#!/bin/sh\n{shutil.which("qemu-img")} "$@" || exit\n'
        f'[ "$1" != convert ] || {{ touch {held}; exec sleep 60; }}\n'
    )
    wrapper.chmod(0o755)
    parts = tmp_path / "image-os"
    shutil.copytree(definition.SHIPPED / "image", parts)
    tools = parts / "parts/tools.py"
    tools.write_text(tools.read_text().replace('"PATH": "', f'"PATH": "{fake}:'))
    environment = {
        "PATH": f"{fake}:/usr/sbin:/usr/bin:/sbin:/bin", "OSP_IMAGE": str(image),
        "OSP_SHA256": checked, "DISK_COUNT": "1", "DISK_0_PATH": str(disk),
        "INSTANCE_NAME": "web1", "TMPDIR": str(tmp_path),
    }  # fmt: skip
    with subprocess.Popen([parts / "create"], env=environment, start_new_session=True) as script:
        deadline = time.monotonic() + 30
        while not held.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(script.pid, signal.SIGKILL)
    assert held.exists()
    content = disk.read_bytes()
    assert content[:_MIB] == bytes(_MIB)
    assert content[_MIB : 63 * _MIB] == image.read_bytes()[_MIB : 63 * _MIB]
    (left,) = tmp_path.glob("ganeti-image-*")
    for age, expected in ((0, [left]), (3600, [])):  # a young one may not be locked yet
        os.utime(left, (0, time.time() - age))
        subprocess.run([parts / "verify"], env=environment, check=True, timeout=20)
        assert list(tmp_path.glob("ganeti-image-*")) == expected


@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_its_disks_are_exported_and_imported(mover: transfers.Mover, form: str) -> None:
    content = os.urandom(2 * _MIB)
    old = mover.disk("old", content, 4, format=form)
    new = mover.disk("new", b"", 4, format="raw" if form == "qcow2" else "qcow2")
    mover.instance["disks_info"] = [new]
    dump = "/srv/ganeti/export/x.new/dump"
    into, port = mover.receive("file", dump, compress="gzip")
    sent, received = mover.ended(mover.send(port, "script", old, 0, compress="gzip"), into)
    assert (sent["exit_status"], received["exit_status"]) == (0, 0), mover.logs()
    assert sent["progress_percent"] == 100.0
    dumped = mover.exports / "x.new/dump"
    assert dumped.read_bytes() == content.ljust(4 * _MIB, b"\0")
    into, port = mover.receive("script", new, 0)
    sent, received = mover.ended(mover.send(port, "file", dump), into)
    assert (sent["exit_status"], received["exit_status"]) == (0, 0), mover.logs()
    subprocess.run(
        ["qemu-img", "compare", "-f", "raw", "-F", new["params"]["format"], dumped,
         mover.path(new)],
        check=True, timeout=20, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    mover.instance["disks_info"] = [mover.disk("small", b"", 2)]
    into, port = mover.receive("script", mover.instance["disks_info"][0], 0)
    _, received = mover.ended(mover.send(port, "file", dump), into)
    assert any("more data than the disk has room for" in o for o in received["recent_output"])
    assert mover.path(mover.instance["disks_info"][0]).stat().st_size == 2 * _MIB
