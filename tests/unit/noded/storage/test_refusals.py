"""What cannot be done is said, by name, and nothing is done instead."""

import pytest

from pyganeti.base import errors
from pyganeti.model import disk as disks

from .conftest import Site

_DRBD = disks.from_wire(
    {"dev_type": "drbd", "logical_id": ["a", "b", 1, 0, 0, "s3cret"], "size": 8, "uuid": "u-1",
     "children": [{"dev_type": "plain", "logical_id": ["vg", "lv"], "size": 8}]}
)  # fmt: skip
_NONE = disks.Disk(dev_type=disks.Template.DISKLESS, logical_id=(), size=8)


async def test_drbd_is_not_yet_there_for_anything(site: Site) -> None:
    storage = site.storage
    for refused in (
        site.create(_DRBD),
        storage.assemble(_DRBD, "web1", 0, "kvm", primary=False),
        storage.find(_DRBD),
        storage.shutdown(_DRBD),
        storage.remove(_DRBD),
        storage.rename(_DRBD, []),
        storage.grow(_DRBD, 1, dry_run=True, exclusive=False),
        storage.dimensions(_DRBD),
        storage.snapshot(_DRBD, None, None),
        storage.set_info(_DRBD, ""),
        storage.wipe(_DRBD, 0, 1),
        storage.image(_DRBD, "/dev/null", 1),
        storage.open("web1", [_DRBD], exclusive=True),
        storage.close("web1", [_DRBD]),
        storage.prepare("web1", [_DRBD], "kvm"),
    ):
        with pytest.raises(errors.Failure, match="does not do DRBD yet") as refusal:
            await refused
        assert "s3cret" not in str(refusal.value)


async def test_without_disks_there_is_nothing_to_work_on(site: Site) -> None:
    await site.storage.remove(_NONE)
    await site.storage.shutdown(_NONE)
    assert await site.storage.find(_NONE) is None
    assert await site.storage.dimensions(_NONE) is None
    assert await site.storage.prepare("web1", [], "kvm") == []
    for refused in (
        site.create(_NONE),
        site.storage.assemble(_NONE, "web1", 0, "kvm", primary=True),
        site.storage.wipe(_NONE, 0, 1),
        site.storage.grow(_NONE, 1, dry_run=False, exclusive=False),
    ):
        with pytest.raises(errors.BadInput):
            await refused


async def test_a_disk_of_no_size_is_refused(site: Site) -> None:
    with pytest.raises(errors.BadInput, match="cannot have 0 MiB"):
        await site.create(site.file(size=0))
