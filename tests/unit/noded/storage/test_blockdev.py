"""Adopted block devices, real ones on loop: filled and measured, never made or removed."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded.storage import status

from .conftest import Site

_MIB = 1024 * 1024


def _disk(path: str, driver: str = "manual") -> disks.Disk:
    return disks.Disk(dev_type=disks.Template.BLOCK, logical_id=(driver, path), size=8)


def _number(path: str) -> int:
    return Path(path).stat().st_rdev


@pytest.fixture
def below_dev() -> Iterator[Path]:
    """Lend a name below /dev."""
    path = Path(f"/dev/pyganeti-test-{os.getpid()}")
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def loop(short_dir: Path) -> Iterator[str]:
    backing = short_dir / "backing"
    with backing.open("wb") as file:
        file.truncate(8 * _MIB)
    made = subprocess.run(
        ["losetup", "--find", "--show", str(backing)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"needs loop devices: {made.stderr.strip()}")
    yield made.stdout.strip()
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


@pytest.mark.root
async def test_a_device_is_adopted_found_and_measured(site: Site, loop: str) -> None:
    assert await site.create(_disk(loop)) == ["manual", loop]
    device = await site.storage.find(_disk(loop))
    assert device is not None
    found = _number(loop)
    assert status.of(device) == {
        "dev_path": loop,
        "major": os.major(found),
        "minor": os.minor(found),
        "is_degraded": False,
        "ldisk_status": 1,
    }
    assert await site.storage.dimensions(_disk(loop)) == (8 * _MIB, None)
    await site.storage.remove(_disk(loop))
    assert await site.storage.find(_disk(loop)) is not None


@pytest.mark.root
async def test_a_device_is_filled_and_copied(site: Site, loop: str, short_dir: Path) -> None:
    image = os.urandom(2 * _MIB)
    (short_dir / "image").write_bytes(image)
    await site.storage.image(_disk(loop), str(short_dir / "image"), 8)
    await site.storage.wipe(_disk(loop), 1, 1)
    copy = site.file(size=8, format="qcow2")
    await site.create(copy)
    await site.storage.convert(_disk(loop), copy)
    raw = site.file("raw", size=8)
    await site.create(raw)
    await site.storage.convert(copy, raw)
    assert (site.place / "raw").read_bytes() == image[:_MIB].ljust(8 * _MIB, b"\0")
    with pytest.raises(errors.BadInput, match="administrator"):
        await site.storage.convert(raw, _disk(loop))


def _link(path: Path, target: object) -> None:
    path.symlink_to(str(target))


@pytest.mark.root
async def test_a_link_below_dev_is_as_good_as_the_device(
    site: Site, loop: str, below_dev: Path
) -> None:
    _link(below_dev, loop)
    linked = await site.storage.assemble(_disk(str(below_dev)), "web1", 0, "kvm", primary=True)
    assert linked is not None
    assert linked.device.path == str(below_dev)


@pytest.mark.root
async def test_a_link_out_of_dev_is_seen_through(
    site: Site, below_dev: Path, short_dir: Path
) -> None:
    _link(below_dev, short_dir)
    with pytest.raises(errors.Denied, match="leads out"):
        await site.create(_disk(str(below_dev)))


@pytest.mark.parametrize(
    ("path", "driver"),
    [("/etc/passwd", "manual"), ("/dev/../etc/passwd", "manual"), ("/dev", "manual"),
     ("dev/x", "manual"), ("/dev/sda", "automatic")],
)  # fmt: skip
async def test_other_paths_and_drivers_are_refused(site: Site, path: str, driver: str) -> None:
    with pytest.raises(errors.BadInput):
        await site.create(_disk(path, driver))


async def test_what_is_no_block_device_is_refused(site: Site) -> None:
    with pytest.raises(errors.Denied, match="not a block device"):
        await site.create(_disk("/dev/null"))
    with pytest.raises(errors.Unavailable, match="does not exist"):
        await site.create(_disk("/dev/none/such"))
    for refused in (
        site.storage.grow(_disk("/dev/null"), 1, dry_run=False, exclusive=False),
        site.storage.rename(_disk("/dev/null"), ["manual", "/dev/zero"]),
        site.storage.snapshot(_disk("/dev/null"), None, None),
    ):
        with pytest.raises(errors.BadInput):
            await refused
