"""Physical volumes as a verification wants them; the tools only record and answer."""

from pyganeti.noded.verify import disks

from .conftest import Site, Tools

_PVS = (
    "  /dev/sda1|xenvg|900.00|a--|1000.00\n"
    "  /dev/sdb1|xenvg|1000.00|---|1000.00\n"
    "  /dev/sde1|other|9000.00|a--|9000.00\n"
)
_ON = (
    "  /dev/sda1|xenvg|disk1\n  /dev/sda1|xenvg|disk0\n  /dev/sda1|xenvg|disk0\n"
    "  /dev/sdb1|xenvg|\n  /dev/sde1|other|a\n  /dev/sde1|other|b\n"
)


async def test_physical_volumes_are_told_allocatable_or_not(site: Site, tools: Tools) -> None:
    tools.fake("pvs", _PVS)
    found = await disks.physical(site.storage.units, ["xenvg"])
    assert found == [
        {
            "name": f"/dev/{name}",
            "vg_name": "xenvg",
            "size": 1000.0,
            "free": free,
            "attributes": attributes,
            "lv_list": [],
        }
        for name, free, attributes in (("sda1", 900.0, "a--"), ("sdb1", 1000.0, "---"))
    ]


async def test_physical_volumes_that_are_shared_are_told(site: Site, tools: Tools) -> None:
    tools.fake("pvs", _ON)
    assert await disks.shared_physical(site.storage.units, ["xenvg"]) == [
        ("/dev/sda1", ["disk0", "disk1"])
    ]
    assert len(await disks.shared_physical(site.storage.units, []) or []) == 2


async def test_where_lvm_fails_there_is_no_answer(site: Site, tools: Tools) -> None:
    tools.fake("pvs", status=5)
    assert await disks.physical(site.storage.units, ["xenvg"]) is None
    assert await disks.shared_physical(site.storage.units, ["xenvg"]) is None
