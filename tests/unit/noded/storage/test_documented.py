"""The table of what each kind of storage can do says what its driver does."""

import re
from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded.storage import driver

from .conftest import Site

_TEXT = (Path(__file__).parents[4] / "docs/disks.md").read_text()
_ROWS = re.findall(
    r"^\| (\w+) \| [^|]* \| ([^|]+) \| (\w+) \| (\w+) \| (\w+) \|$", _TEXT, re.MULTILINE
)
_IDS = {"blockdev": ("manual", "/dev/null"), "gluster": ("loop", "a/b"), "ext": ("san", "v1")}


def test_every_kind_is_in_the_table_or_has_no_disk() -> None:
    kinds = {row[0] for row in _ROWS}
    assert kinds == {t.value for t in disks.Template} - {"diskless", "drbd"}


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row[0])
async def test_what_a_kind_cannot_is_refused_by_its_name_and_nothing_else_is(
    site: Site, row: tuple[str, str, str, str, str]
) -> None:
    kind, rename, grow, snapshot, userspace = row
    disk = disks.Disk(
        dev_type=disks.Template(kind),
        logical_id=_IDS.get(kind, ("xenvg", "/srv/x" if "file" in kind else "x")),
        size=4,
        params={"volume": "gv0"} if kind == "gluster" else {},
    )
    own = site.storage.driver_of(disk)
    device = driver.Device(None, uris={"kvm": "iscsi://x"})

    async def uri() -> None:
        own.uri(disk, device, "kvm")

    for said, attempt in (
        (rename, own.rename(disk, disk.logical_id)),
        (grow, own.grow(disk, 1, dry_run=False, exclusive=False)),
        (snapshot, own.snapshot(disk, "s", 1)),
        (userspace, uri()),
    ):
        refusal = ""
        try:
            await attempt
        except (errors.Failure, OSError) as error:
            refusal = str(error)
        refused = re.search(rf"^{kind} disks (cannot|have no)|{kind} disks have no", refusal)
        assert bool(refused) is (said == "no"), (said, refusal)
