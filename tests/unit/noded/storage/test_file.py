"""Disks that are files: whole or not there, sparse or not, never another's."""

import asyncio
import contextlib
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded.storage import imagefiles

from .conftest import Site

_MIB = 1024 * 1024


def _info(path: Path) -> dict[str, Any]:
    said = subprocess.run(
        ["qemu-img", "info", "--output=json", str(path)], check=True, capture_output=True
    ).stdout
    found: dict[str, Any] = msgspec.json.decode(said)
    return found


async def test_a_file_is_made_sparse_and_of_the_size(site: Site) -> None:
    disk = site.file(size=64)
    assert await site.create(disk) == list(disk.logical_id)
    found = (site.place / "disk0").stat()
    assert found.st_size == 64 * _MIB
    assert found.st_blocks == 0
    assert found.st_mode & 0o777 == 0o600
    assert site.names() == ["disk0"]


@pytest.mark.parametrize("how", ["falloc", "full"])
@pytest.mark.parametrize("fmt", ["raw", "qcow2"])
async def test_a_file_takes_its_room_beforehand_where_asked(site: Site, fmt: str, how: str) -> None:
    await site.create(site.file(size=8, format=fmt, preallocation=how))
    found = (site.place / "disk0").stat()
    assert found.st_blocks * 512 >= 8 * _MIB
    assert _info(site.place / "disk0")["virtual-size"] == 8 * _MIB
    assert site.names() == ["disk0"]


async def test_qcow2_is_made_where_asked(site: Site) -> None:
    disk = site.file(size=64, format="qcow2")
    await site.create(disk)
    found = _info(site.place / "disk0")
    assert (found["format"], found["virtual-size"]) == ("qcow2", 64 * _MIB)
    device = await site.storage.find(disk)
    assert device is not None
    assert device.format == "qcow2"
    assert await site.storage.dimensions(disk) == (64 * _MIB, None)


@pytest.mark.parametrize(
    "params",
    [{"format": "vmdk"}, {"preallocation": "metadata"}, {"preallocation": 5}, {"format": ["raw"]}],
)
async def test_shapes_that_do_not_exist_are_refused(site: Site, params: dict[str, Any]) -> None:
    with pytest.raises(errors.BadInput):
        await site.create(site.file(**params))
    assert site.names() == []


@pytest.mark.parametrize(
    "logical_id", [(), ("loop",), ("loop", ""), ("loop", 5), ("loop", "/a", "b"), ("loop", "x\0y")]
)
async def test_a_logical_id_of_another_form_is_refused(
    site: Site, logical_id: tuple[Any, ...]
) -> None:
    disk = disks.Disk(dev_type=disks.Template.FILE, logical_id=logical_id, size=1)
    with pytest.raises(errors.BadInput):
        await site.create(disk)


@pytest.mark.parametrize("name", ["../disk", "a/../../disk", "/etc/passwd", ".new-disk"])
async def test_names_that_lead_elsewhere_are_refused(site: Site, name: str) -> None:
    (site.place / "a").mkdir()
    with pytest.raises((errors.BadInput, errors.Denied)):
        await site.create(site.file(name))
    with pytest.raises((errors.BadInput, errors.Denied)):
        await site.storage.remove(site.file(name))


async def test_what_exists_is_never_overwritten(site: Site) -> None:
    (site.place / "disk0").write_text("precious")
    with pytest.raises(errors.BadInput, match="exists already"):
        await site.create(site.file())
    with pytest.raises(errors.BadInput, match="exists already"):
        await site.create(site.file(format="qcow2"))
    assert (site.place / "disk0").read_text() == "precious"


async def test_a_symlink_is_no_disk(site: Site, short_dir: Path) -> None:
    target = short_dir / "target"
    target.write_text("precious")
    (site.place / "disk0").symlink_to(target)
    for refused in (
        site.create(site.file()),
        site.storage.find(site.file()),
        site.storage.remove(site.file()),
        site.storage.grow(site.file(), 1, dry_run=False, exclusive=False),
        site.storage.wipe(site.file(), 0, 1),
        site.storage.dimensions(site.file()),
    ):
        with pytest.raises(errors.Denied, match="regular file"):
            await refused
    assert target.read_text() == "precious"


async def test_a_missing_directory_is_said_and_nothing_found_there(site: Site) -> None:
    with pytest.raises(errors.Unavailable, match="No such file"):
        await site.create(site.file("none/disk"))
    assert await site.storage.find(site.file("none/disk")) is None
    assert await site.storage.dimensions(site.file("none/disk")) is None
    await site.storage.remove(site.file("none/disk"))


async def test_a_file_is_removed_once_and_its_absence_is_fine(site: Site) -> None:
    await site.create(site.file())
    await site.storage.remove(site.file())
    await site.storage.remove(site.file())
    assert site.names() == []


async def test_assembling_what_is_not_there_fails(site: Site) -> None:
    with pytest.raises(errors.Unavailable, match="does not exist"):
        await site.storage.assemble(site.file(), "inst", 0, "kvm", primary=True)


@pytest.mark.parametrize("how", ["off", "falloc"])
@pytest.mark.parametrize("fmt", ["raw", "qcow2"])
async def test_a_file_grows_and_a_dry_run_changes_nothing(site: Site, fmt: str, how: str) -> None:
    disk = site.file(size=4, format=fmt, preallocation=how)
    await site.create(disk)
    await site.storage.grow(disk, 3, dry_run=True, exclusive=False)
    assert await site.storage.dimensions(disk) == (4 * _MIB, None)
    await site.storage.grow(disk, 3, dry_run=False, exclusive=False)
    assert await site.storage.dimensions(disk) == (7 * _MIB, None)
    with pytest.raises(errors.BadInput):
        await site.storage.grow(disk, -1, dry_run=False, exclusive=False)


async def test_room_that_is_not_there_is_said_before_anything_is_made(site: Site) -> None:
    huge = 2**40
    with pytest.raises(errors.Exhausted, match="no room"):
        await site.create(site.file(size=huge, preallocation="falloc"))
    await site.create(site.file(preallocation="falloc"))
    for dry_run in (True, False):
        with pytest.raises(errors.Exhausted, match="no room"):
            await site.storage.grow(
                site.file(preallocation="falloc"), huge, dry_run=dry_run, exclusive=False
            )
    assert (site.place / "disk0").stat().st_size == 4 * _MIB
    assert site.names() == ["disk0"]


async def test_a_size_that_no_file_can_have_leaves_nothing(site: Site) -> None:
    with pytest.raises(errors.Failure):
        await site.create(site.file(size=2**42))
    assert site.names() == []


async def test_a_rename_overwrites_nothing_and_can_be_finished(site: Site) -> None:
    await site.create(site.file("a"))
    (site.place / "c").write_text("precious")
    with pytest.raises(errors.BadInput, match="exists already"):
        await site.storage.rename(site.file("a"), ["loop", str(site.place / "c")])
    with pytest.raises(errors.Failure):
        await site.storage.rename(site.file("a"), ["loop", "/tmp/elsewhere"])
    os.link(site.place / "a", site.place / "b")  # as if killed in the middle
    await site.storage.rename(site.file("a"), ["loop", str(site.place / "b")])
    assert site.names() == ["b", "c"]
    await site.storage.rename(site.file("b"), ["loop", str(site.place / "b")])
    assert site.names() == ["b", "c"]
    with pytest.raises(errors.Unavailable, match="does not exist"):
        await site.storage.rename(site.file("a"), ["loop", str(site.place / "d")])


async def test_what_a_killed_create_left_is_swept_by_the_next_call(site: Site) -> None:
    left = site.place / ".new-disk0"
    left.write_text("half")
    await site.create(site.file())
    assert site.names() == ["disk0"]
    left.write_text("half")
    await site.storage.remove(site.file())
    assert site.names() == []


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_create_that_is_given_up_at_any_moment_leaves_nothing(site: Site) -> None:
    await site.create(site.file("warm"))
    await site.storage.remove(site.file("warm"))
    before = _open_files()
    chance = random.Random("given up")
    for turn in range(40):
        how = {} if turn % 2 else {"preallocation": "full"}
        creating = asyncio.ensure_future(site.create(site.file(size=64, **how)))
        for _ in range(chance.randrange(30)):
            await asyncio.sleep(0)
        if turn % 4 == 0:
            await asyncio.sleep(chance.random() * 0.05)
        creating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await creating
        async with asyncio.timeout(10):  # threads finish what they have begun
            while _open_files() > before or ".new-disk0" in site.names():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        if "disk0" in site.names():
            assert await site.storage.dimensions(site.file()) == (64 * _MIB, None)
            await site.storage.remove(site.file())
        assert site.names() == []


async def test_a_tool_that_is_missing_is_named(site: Site) -> None:
    with pytest.raises(errors.Unavailable, match="no-such-tool is not installed"):
        await site.storage.tools.run(["no-such-tool", "-x"])


async def test_exclusive_storage_and_snapshots_are_refused(site: Site) -> None:
    with pytest.raises(errors.BadInput, match="exclusive"):
        await site.storage.create(site.file(), primary=True, info="", exclusive=True)
    await site.create(site.file())
    with pytest.raises(errors.BadInput, match="snapshots"):
        await site.storage.snapshot(site.file(), None, None)


async def test_no_descriptors_are_left(site: Site) -> None:
    await site.create(site.file("warm"))
    async with asyncio.timeout(5):
        before = _open_files()
        for fmt in ("raw", "qcow2"):
            disk = site.file(fmt, format=fmt)
            await site.create(disk)
            await site.storage.grow(disk, 1, dry_run=False, exclusive=False)
            await site.storage.wipe(disk, 0, 1)
            await site.storage.dimensions(disk)
            await site.storage.remove(disk)
        while _open_files() > before:  # noqa: ASYNC110 - closed by threads
            await asyncio.sleep(0.01)


def test_shape_of_a_disk_without_parameters_is_ganeti_s(site: Site) -> None:
    assert imagefiles.shape(site.file()) == imagefiles.Shape("raw", "off")


async def test_a_qcow2_disk_in_use_does_not_grow_and_says_so(site: Site) -> None:
    disk = site.file(format="qcow2")
    await site.create(disk)
    user = await asyncio.create_subprocess_exec(
        "qemu-io", "-f", "qcow2", str(site.place / "disk0"),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert user.stdin is not None
    assert user.stdout is not None
    try:
        async with asyncio.timeout(20):
            await user.stdout.readuntil(b"qemu-io> ")  # it has the image open, and locked
        with pytest.raises(errors.Failure, match="another process using the image"):
            await site.storage.grow(disk, 1, dry_run=False, exclusive=False)
        assert await site.storage.dimensions(disk) == (4 * _MIB, None)
    finally:
        user.stdin.close()
        await user.wait()
