"""Logical volumes, as far as LVM's command lines: the tools here only record and answer."""

from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded.storage import lvm, status

from .conftest import Site, Tools

_LV = "  xenvg|disk0|-wi-ao----|254|3|4096.00|1|/dev/sda1(0)|10240.00\n"
_OTHERS = (
    "  WARNING: Device for PV xyz not found or rejected by a filter.\n"
    "  xenvg|striped|-wi-------|-1|-1|4096.00|2|/dev/sda1(0),/dev/sdb1(0)|20480.00|\n"
    "  xenvg|gone|vwi-a-----|254|9|4096.00|1||20480.00\n"
    "  xenvg|two|-wi-a-----|254|4|4096.00|1|/dev/sda1(9)|20480.00\n"
    "  xenvg|two|-wi-a-----|254|4|4096.00|1|/dev/sdb1(0)|20480.00\n"
)
_PVS = (
    "  /dev/sda1|xenvg|900.00|a--|1000.00\n"
    "  /dev/sdb1|xenvg|1000.00|a--|1000.00\n"
    "  /dev/sdc1|xenvg|1000.00|a--|1000.00\n"
    "  /dev/sdd1|xenvg|1000.00|---|1000.00\n"
    "  /dev/sde1|other|9000.00|a--|9000.00\n"
)
_LVS = "lvs --noheadings --nosuffix --units=k --separator=| --options="


def _disk(name: str = "disk0", **more: Any) -> disks.Disk:
    return disks.Disk(
        dev_type=disks.Template.PLAIN,
        logical_id=("xenvg", name),
        size=more.pop("size", 10),
        **more,
    )


@pytest.fixture(autouse=True)
def lvm_tools(tools: Tools) -> None:
    tools.fake("lvs", _LV + _OTHERS)
    tools.fake("pvs", _PVS)
    tools.fake("vgs", "  xenvg|3000.00|2900.00\n")
    for name in ("lvcreate", "lvremove", "lvchange", "lvextend", "lvrename"):
        tools.fake(name)


async def test_a_volume_is_made_activated_and_tagged(site: Site, tools: Tools) -> None:
    tools.fake("lvs", _LV, body='case "$*" in *lv_tags*) echo "  old,older"; exit;; esac')
    made = await site.create(_disk(params={"stripes": 1}))
    assert made == ["xenvg", "disk0"]
    assert tools.calls("lvcreate") == [
        "lvcreate -Wn -L10m -ndisk0 -i1 xenvg /dev/sdb1 /dev/sdc1 /dev/sda1"
    ]
    assert tools.calls("lvchange") == [
        "lvchange -ay /dev/xenvg/disk0",
        "lvchange --deltag old /dev/xenvg/disk0",
        "lvchange --deltag older /dev/xenvg/disk0",
        "lvchange --addtag words /dev/xenvg/disk0",
    ]


async def test_fewer_stripes_are_tried_where_there_is_no_room_for_more(
    site: Site, tools: Tools
) -> None:
    tools.fake("lvcreate", body='case "$*" in *-i1*) exit 0;; esac; echo no extents >&2; exit 5')
    await site.create(_disk(params={"stripes": 8}))
    assert [line.split()[4] for line in tools.calls("lvcreate")] == ["-i3", "-i2", "-i1"]
    tools.fake("lvcreate", body="echo 'insufficient free space' >&2; exit 5")
    with pytest.raises(errors.Failure, match="lvcreate failed: insufficient free space"):
        await site.create(_disk())


async def test_no_room_and_no_group_are_said_before_anything_is_made(
    site: Site, tools: Tools
) -> None:
    with pytest.raises(errors.Exhausted, match="2900 MiB free"):
        await site.create(_disk(size=2901))
    disk = disks.Disk(dev_type=disks.Template.PLAIN, logical_id=("novg", "a"), size=1)
    with pytest.raises(errors.Unavailable, match="no usable physical volumes"):
        await site.create(disk)
    assert tools.calls("lvcreate") == []


@pytest.mark.parametrize(
    "logical_id",
    [("xenvg", "a/b"), ("..", "a"), ("xenvg", ".."), ("xenvg", "-y"), ("xenvg", "snapshot"),
     ("xenvg", "a_mlog"), ("xenvg", "a b"), ("xenvg", "a\n"), ("xenvg",), ("xenvg", "")],
)  # fmt: skip
async def test_names_that_lvm_would_not_have_never_reach_it(
    site: Site, tools: Tools, logical_id: tuple[str, ...]
) -> None:
    disk = disks.Disk(dev_type=disks.Template.PLAIN, logical_id=logical_id, size=1)
    for refused in (site.create(disk), site.storage.remove(disk), site.storage.find(disk)):
        with pytest.raises(errors.BadInput):
            await refused
    assert tools.calls() == []


async def test_a_volume_is_found_with_its_numbers(site: Site, tools: Tools) -> None:
    device = await site.storage.find(_disk())
    assert device is not None
    assert status.of(device) == {
        "dev_path": "/dev/xenvg/disk0",
        "major": 254,
        "minor": 3,
        "is_degraded": False,
        "ldisk_status": 1,
    }
    assert tools.calls()[0].startswith(_LVS)
    assert await site.storage.find(_disk("none")) is None
    gone = await site.storage.find(_disk("gone"))
    assert gone is not None
    assert (status.of(gone)["is_degraded"], status.of(gone)["ldisk_status"]) == (True, 4)


async def test_dimensions_count_spindles_over_all_segments(site: Site) -> None:
    assert await site.storage.dimensions(_disk()) == (10 * 1024 * 1024, 1)
    assert await site.storage.dimensions(_disk("two")) == (20 * 1024 * 1024, 2)
    assert await site.storage.dimensions(_disk("none")) is None


async def test_volumes_are_assembled_on_secondaries_too(site: Site, tools: Tools) -> None:
    linked = await site.storage.assemble(_disk(), "web1", 0, "kvm", primary=False)
    assert linked is not None
    assert (linked.device.path, linked.link) == ("/dev/xenvg/disk0", None)
    assert tools.calls("lvchange") == ["lvchange -ay /dev/xenvg/disk0"]


async def test_a_volume_is_removed_if_it_is_there_and_tried_while_busy(
    site: Site, tools: Tools
) -> None:
    await site.storage.remove(_disk())
    await site.storage.remove(_disk("none"))
    assert tools.calls("lvremove") == ["lvremove -f xenvg/disk0"]
    tools.forget()
    tools.fake("lvremove", body="echo 'in use' >&2; exit 5")
    with pytest.raises(errors.Failure, match="in use"):
        await site.storage.remove(_disk())
    assert len(tools.calls("lvremove")) > 1


async def test_a_volume_grows_by_whole_stripes_in_the_best_way_there_is(
    site: Site, tools: Tools
) -> None:
    tools.fake("lvextend", body='case "$*" in *normal*) exit 0;; esac; exit 5')
    await site.storage.grow(_disk("striped"), 9, dry_run=False, exclusive=False)
    assert tools.calls("lvextend") == [
        f"lvextend -L +16384k --alloc {policy} /dev/xenvg/striped"
        for policy in ("contiguous", "cling", "normal")
    ]
    tools.forget()
    await site.storage.grow(_disk(), 4, dry_run=True, exclusive=False)
    assert tools.calls("lvextend")[-1] == (
        "lvextend -L +4096k --test --alloc normal /dev/xenvg/disk0"
    )


async def test_a_snapshot_replaces_an_older_one(site: Site, tools: Tools) -> None:
    tools.fake("lvs", _LV + _LV.replace("disk0", "disk0.snap"))
    assert await site.storage.snapshot(_disk(), None, None) == ["xenvg", "disk0.snap"]
    assert tools.calls("lvremove") == ["lvremove -f xenvg/disk0.snap"]
    assert tools.calls("lvcreate") == ["lvcreate -L10m -s -ndisk0.snap /dev/xenvg/disk0"]
    with pytest.raises(errors.Exhausted, match="snapshot"):
        await site.storage.snapshot(_disk(), "other", 3000)


async def test_a_rename_stays_in_the_group(site: Site, tools: Tools) -> None:
    await site.storage.rename(_disk(), ["xenvg", "new"])
    assert tools.calls("lvrename") == ["lvrename xenvg disk0 new"]
    for bad in (["other", "new"], ["xenvg", "../x"], ["xenvg"]):
        with pytest.raises(errors.BadInput):
            await site.storage.rename(_disk(), bad)


async def test_exclusive_storage_takes_empty_spindles_and_no_others(
    site: Site, tools: Tools
) -> None:
    async def create(size: int, spindles: int | None) -> None:
        disk = _disk(size=size, spindles=spindles)
        await site.storage.create(disk, primary=True, info="", exclusive=True)

    await create(1500, 2)
    assert tools.calls("lvcreate") == ["lvcreate -Wn -L1500m -ndisk0 -i2 xenvg /dev/sdb1 /dev/sdc1"]
    with pytest.raises(errors.BadInput, match="not enough for 1500"):
        await create(1500, 1)
    with pytest.raises(errors.Exhausted, match="3 wanted, 2 there"):
        await create(1500, 3)
    with pytest.raises(errors.BadInput, match="repair-disk-sizes"):
        await create(1500, None)
    await site.storage.grow(_disk(), 100, dry_run=False, exclusive=True)
    assert tools.calls("lvextend")[-1].endswith("/dev/xenvg/disk0 /dev/sda1")
    with pytest.raises(errors.Exhausted, match="cannot grow"):
        await site.storage.grow(_disk(), 990, dry_run=False, exclusive=True)


async def test_units_are_listed_changed_and_repaired(site: Site, tools: Tools) -> None:
    units = site.storage.units
    assert await units.rows("lvm-vg", [], None, ["name", "size", "used", "free"]) == [
        ["xenvg", 3000, 100, 2900]
    ]
    tools.fake("pvs", "  /dev/sda1|1000.00|100.00|900.00|a--\n")
    columns = ["free", "name", "allocatable", "used"]
    assert await units.rows("lvm-pv", [], "/dev/sda1", columns) == [[900, "/dev/sda1", True, 100]]
    assert tools.calls("pvs")[-1].endswith(" /dev/sda1")
    tools.fake("pvchange")
    await units.modify("lvm-pv", "/dev/sda1", {"allocatable": False})
    assert tools.calls("pvchange") == ["pvchange --allocatable n /dev/sda1"]
    tools.fake("vgreduce", body='case "$*" in *force*) exit 0;; esac; exit 5')
    await units.execute("lvm-vg", "xenvg", "fix-consistency")
    assert tools.calls("vgreduce")[-1] == "vgreduce --removemissing --force xenvg"


async def test_requests_for_units_that_make_no_sense_are_refused(site: Site, tools: Tools) -> None:
    units = site.storage.units
    for refused in (
        units.rows("lvm-vg", [], None, ["colour"]),
        units.rows("tape", [], None, ["name"]),
        units.rows("lvm-vg", [], "--all", ["name"]),
        units.rows("lvm-pv", [], "sda", ["name"]),
        units.modify("lvm-vg", "xenvg", {"allocatable": True}),
        units.modify("lvm-pv", "/dev/sda1", {"size": 1}),
        units.execute("lvm-pv", "/dev/sda1", "fix-consistency"),
        units.execute("lvm-vg", "xenvg", "destroy"),
        units.execute("lvm-vg", "-f", "fix-consistency"),
    ):
        with pytest.raises(errors.BadInput):
            await refused
    assert tools.calls() == []


async def test_volumes_and_groups_are_listed_as_masters_read_them(site: Site, tools: Tools) -> None:
    tools.fake(
        "lvs",
        "  xenvg|a|20.06|-wi-ao----\n  xenvg|b|1.00|-wi-------\n  xenvg|v|1.00|vwi-a-----\n",
    )
    assert await site.storage.units.volumes(["xenvg"]) == {
        "xenvg/a": ("20.06", False, True),
        "xenvg/b": ("1.00", True, False),
    }
    assert tools.calls("lvs")[-1].endswith(" xenvg")
    tools.fake("lvs", "  a|20.06|/dev/sda1(0),/dev/sdb1(7)|xenvg\n")
    assert await site.storage.units.segments() == [
        {"name": "a", "size": "20.06", "dev": "/dev/sda1", "vg": "xenvg"},
        {"name": "a", "size": "20.06", "dev": "/dev/sdb1", "vg": "xenvg"},
    ]
    assert await site.storage.units.groups() == {"xenvg": 3000}
    tools.fake("vgs", status=5)
    assert await site.storage.units.groups() == {}


async def test_room_is_told_as_masters_read_it(site: Site, tools: Tools) -> None:
    tools.fake("vgs", "  xenvg|3000.00|2900.00|wz--n-\n  ro|10.00|10.00|r---n-\n")
    of = site.storage.space.of
    named = {"type": "lvm-vg", "name": "xenvg"}
    assert await of("lvm-vg", "xenvg") == {**named, "storage_size": 3000, "storage_free": 2900}
    assert (await of("lvm-vg", "xenvg", exclusive=True))["storage_free"] == 2 * 970
    assert (await of("lvm-vg", "none"))["storage_size"] is None
    assert (await of("lvm-vg", "ro"))["storage_size"] is None
    spindles = await of("lvm-pv", "xenvg", exclusive=True)
    assert (spindles["storage_free"], spindles["storage_size"]) == (2, 3)
    assert (await of("file", str(site.place)))["storage_size"] > 0
    with pytest.raises(errors.BadInput):
        await of("rados", "x")


def test_tags_are_what_lvm_keeps() -> None:
    assert lvm.tag("originstname+web1.example.com") == "originstname+web1.example.com"
    assert lvm.tag("-a b/c") == "_a_b_c"
    assert len(lvm.tag("x" * 500)) == 128
