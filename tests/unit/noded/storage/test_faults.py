"""Full and read-only storage, for each kind that can be tried: said in words, and nothing left."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.model import disk as disks

from .conftest import Site, Tools

_MIB = 1024 * 1024
_FILES = ("file", "sharedfile", "gluster")


@pytest.fixture
def small(site: Site, tools: Tools) -> Iterator[Path]:
    """Make the place for files, and for Gluster's volume, a file system of 8 MiB."""
    point = site.layout.run_dir / "gluster"
    point.mkdir(parents=True)
    site.allow(point)
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "small", str(point)]
    subprocess.run(mount, check=True)
    yield point
    subprocess.run(["umount", str(point)], check=True)


def _disk(kind: str, place: Path, *, size: int = 16, **params: str) -> disks.Disk:
    path = "one" if kind == "gluster" else str(place / "one")
    return disks.Disk(
        dev_type=disks.Template(kind), logical_id=("loop", path), size=size, params=dict(params)
    )


def _names(place: Path) -> list[str]:
    return sorted(entry.name for entry in place.iterdir())


@pytest.mark.root
@pytest.mark.parametrize("kind", _FILES)
@pytest.mark.parametrize("fmt", ["raw", "qcow2"])
async def test_what_does_not_fit_is_said_and_nothing_is_left(
    site: Site, small: Path, kind: str, fmt: str
) -> None:
    disk = _disk(kind, small, format=fmt, preallocation="falloc")
    with pytest.raises(errors.Exhausted, match="one"):
        await site.create(disk)
    assert _names(small) == []
    await site.storage.remove(disk)
    sparse = _disk(kind, small, format=fmt)
    await site.create(sparse)
    image = site.layout.root / "image"
    image.write_bytes(os.urandom(16 * _MIB))
    with pytest.raises(errors.Exhausted, match="No space left"):
        await site.storage.image(sparse, str(image), 16)
    assert await site.storage.dimensions(sparse) == (16 * _MIB, None), "it is as large as it was"
    await site.storage.remove(sparse)
    assert _names(small) == []


@pytest.mark.root
@pytest.mark.parametrize("kind", _FILES)
async def test_a_read_only_file_system_is_said_and_nothing_is_changed(
    site: Site, small: Path, kind: str
) -> None:
    disk = _disk(kind, small, size=2)
    await site.create(disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)  # noqa: ASYNC221
    storage = site.storage
    image = site.layout.root / "image"
    image.write_bytes(bytes(_MIB))
    other = "other" if kind == "gluster" else str(small / "other")
    for refused in (
        site.create(disks.Disk(dev_type=disk.dev_type, logical_id=("loop", other), size=1)),
        storage.remove(disk),
        storage.grow(disk, 1, dry_run=False, exclusive=False),
        storage.wipe(disk, 0, 1),
        storage.image(disk, str(image), 1),
    ):
        with pytest.raises(errors.Denied, match="Read-only"):
            await refused
    assert await storage.dimensions(disk) == (2 * _MIB, None)
    assert await storage.find(disk) is not None
    assert _names(small) == ["one"]


@pytest.mark.root
@pytest.mark.parametrize(("options", "kind"), [("ro", errors.Denied), ("full", errors.Exhausted)])
async def test_links_that_cannot_be_made_are_said(
    site: Site, options: str, kind: type[errors.Failure]
) -> None:
    disk = site.file()
    await site.create(disk)
    links = site.layout.run_dir / "instance-disks"
    links.mkdir(parents=True)
    few = "nr_inodes=1" if options == "full" else "ro"
    subprocess.run(  # noqa: ASYNC221
        ["mount", "-t", "tmpfs", "-o", few, "few", str(links)], check=True
    )
    try:
        with pytest.raises(kind, match="file disk disk/0"):
            await site.storage.assemble(disk, "web1", 0, "kvm", primary=True)
        with pytest.raises(kind, match="file disk disk/0"):
            await site.storage.prepare("web1", [disk], "kvm")
        assert _names(links) == []
    finally:
        subprocess.run(["umount", str(links)], check=True)  # noqa: ASYNC221
    assert await site.storage.assemble(disk, "web1", 0, "kvm", primary=True) is not None


@pytest.fixture
def read_only_loop(short_dir: Path) -> Iterator[str]:
    backing = short_dir / "backing"
    backing.write_bytes(bytes(8 * _MIB))
    made = subprocess.run(
        ["losetup", "--read-only", "--find", "--show", str(backing)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"needs loop devices: {made.stderr.strip()}")
    yield made.stdout.strip()
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


@pytest.mark.root
async def test_a_read_only_device_is_found_and_not_written_to(
    site: Site, read_only_loop: str
) -> None:
    disk = disks.Disk(dev_type=disks.Template.BLOCK, logical_id=("manual", read_only_loop), size=8)
    assert await site.storage.find(disk) is not None
    image = site.layout.root / "image"
    image.write_bytes(b"x" * _MIB)
    for refused in (site.storage.wipe(disk, 0, 1), site.storage.image(disk, str(image), 1)):
        with pytest.raises(errors.Failure, match=r"(?i)not permitted|read-only|denied"):
            await refused
    assert await site.storage.dimensions(disk) == (8 * _MIB, None)


_PVS = "  /dev/sda1|xenvg|900.00|a--|1000.00\n"


@pytest.mark.parametrize(
    "said",
    [
        'Volume group "xenvg" has insufficient free space (2 extents): 4 required.',
        "Insufficient free space: 256 extents needed, but only 2 available",
        "Insufficient suitable allocatable extents for logical volume disk0: 2 more required",
    ],
)
async def test_a_volume_group_that_fills_up_meanwhile_is_said_to_be_full(
    site: Site, tools: Tools, said: str
) -> None:
    disk = disks.Disk(dev_type=disks.Template.PLAIN, logical_id=("xenvg", "disk0"), size=10)
    tools.fake("pvs", _PVS)
    tools.fake("lvs", "  xenvg|disk0|-wi-ao----|254|3|4096.00|1|/dev/sda1(0)|10240.00\n")
    for name in ("lvcreate", "lvextend"):
        tools.fake(name, body=f"echo '  {said}' >&2; exit 5")
    with pytest.raises(errors.Exhausted, match="nsufficient"):
        await site.create(disk)
    with pytest.raises(errors.Exhausted, match="nsufficient"):
        await site.storage.grow(disk, 10, dry_run=False, exclusive=False)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("rbd: create error: (28) No space left on device", errors.Exhausted),
        ("rbd: create error: (122) Disk quota exceeded", errors.Exhausted),
        ("rbd: create error: (30) Read-only file system", errors.Denied),
        ("rbd: couldn't connect to the cluster!", errors.Failure),
    ],
)
async def test_a_pool_that_is_full_or_read_only_is_said_to_be(
    site: Site, tools: Tools, said: str, kind: type[errors.Failure]
) -> None:
    disk = disks.Disk(
        dev_type=disks.Template.RBD, logical_id=("rbd", "disk0"), size=10, params={"pool": "vms"}
    )
    tools.fake("rbd", body=f'echo "{said}" >&2; exit 1')
    with pytest.raises(kind, match="rbd"):
        await site.create(disk)
