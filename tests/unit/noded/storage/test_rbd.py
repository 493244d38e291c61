"""Ceph's images, as far as rbd's command lines: the tool here only records and answers."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.model import disk as disks

from .conftest import Site, Tools


def _disk(name: str = "image.rbd.disk0", **params: Any) -> disks.Disk:
    return disks.Disk(
        dev_type=disks.Template.RBD,
        logical_id=("rbd", name),
        size=64,
        params={"pool": "pool", **params},
    )


class Ceph:
    """What the fake rbd shows: images, and those that are mapped, which ``map`` adds to."""

    def __init__(self, tools: Tools) -> None:
        state = tools.path / "mapped"
        shown = json.dumps([self.mapped("image.rbd.disk0")])
        state.write_text("[]")
        tools.fake(
            "rbd",
            body=f"""case "$1" in
showmapped) cat {state}; exit;;
map) printf '%s' '{shown}' > {state};;
unmap) echo '[]' > {state};;
ls) echo '["image.rbd.disk0"]'; exit;;
info) echo '{{"name": "image.rbd.disk0", "size": 67108864}}'; exit;;
esac""",
        )
        self.state = state

    def mapped(self, name: str, pool: str = "pool") -> dict[str, str]:
        """Describe a mapping, to a block device that any machine under test has."""
        return {"id": "0", "pool": pool, "name": name, "snap": "-", "device": _device()}


def _device() -> str:
    found = [path for path in Path("/dev").iterdir() if path.is_block_device()]
    if not found:
        pytest.skip("needs any block device below /dev")
    return str(min(found))


def _number(path: str) -> int:
    return Path(path).stat().st_rdev


@pytest.fixture
def ceph(tools: Tools) -> Ceph:
    return Ceph(tools)


async def test_an_image_is_made_mapped_and_unmapped(site: Site, tools: Tools, ceph: Ceph) -> None:
    assert await site.create(_disk()) == ["rbd", "image.rbd.disk0"]
    assert [line for line in tools.calls() if "showmapped" not in line] == [
        "rbd create -p pool image.rbd.disk0 --size 64",
        "rbd map -p pool image.rbd.disk0",
    ]
    device = await site.storage.find(_disk())
    assert device is not None
    assert device.path == _device()
    assert (device.major, device.minor) == (
        os.major(_number(_device())), os.minor(_number(_device()))
    )  # fmt: skip
    tools.forget()
    for _ in range(2):
        await site.storage.shutdown(_disk())
    assert [line for line in tools.calls() if "showmapped" not in line] == [
        f"rbd unmap {_device()}"
    ]


async def test_looking_maps_nothing(site: Site, tools: Tools, ceph: Ceph) -> None:
    assert await site.storage.find(_disk()) is None
    assert await site.storage.dimensions(_disk()) == (64 * 1024 * 1024, None)
    assert await site.storage.dimensions(_disk("other")) is None
    await site.storage.close("web1", [_disk()])
    assert not [line for line in tools.calls() if " map " in line]


async def test_a_migration_s_target_maps_what_it_is_told_to_open(
    site: Site, tools: Tools, ceph: Ceph
) -> None:
    await site.storage.open("web1", [_disk()], exclusive=False)
    assert "rbd map -p pool image.rbd.disk0" in tools.calls()
    assert str(site.storage.links.path("web1", 0).readlink()) == _device()


async def test_other_pools_mappings_are_not_ours(site: Site, tools: Tools, ceph: Ceph) -> None:
    ceph.state.write_text(json.dumps([ceph.mapped("image.rbd.disk0", "elsewhere")]))
    assert await site.storage.find(_disk()) is None
    ceph.state.write_text(json.dumps({"0": ceph.mapped("image.rbd.disk0")}))  # Ceph before 13
    assert await site.storage.find(_disk()) is not None
    ceph.state.write_text(json.dumps([ceph.mapped("image.rbd.disk0")] * 2))
    with pytest.raises(errors.Damaged, match="more than once"):
        await site.storage.find(_disk())


async def test_an_image_is_removed_unmapped_and_may_be_gone(
    site: Site, tools: Tools, ceph: Ceph
) -> None:
    await site.storage.assemble(_disk(), "web1", 0, "kvm", primary=True)
    await site.storage.remove(_disk())
    await site.storage.remove(_disk("other"))
    assert [line for line in tools.calls() if line.split()[1] in {"unmap", "rm"}] == [
        f"rbd unmap {_device()}",
        "rbd rm -p pool image.rbd.disk0",
    ]


async def test_an_image_grows_to_its_new_size(site: Site, tools: Tools, ceph: Ceph) -> None:
    await site.storage.grow(_disk(), 36, dry_run=True, exclusive=False)
    assert tools.calls() == []
    await site.storage.grow(_disk(), 36, dry_run=False, exclusive=False)
    assert tools.calls() == ["rbd resize -p pool image.rbd.disk0 --size 100"]


async def test_qemu_s_own_client_gets_a_uri(site: Site, ceph: Ceph) -> None:
    disk = _disk(access="userspace")
    linked = await site.storage.assemble(disk, "web1", 0, "kvm", primary=True)
    assert linked is not None
    assert linked.uri == "rbd:pool/image.rbd.disk0"


@pytest.mark.parametrize(
    ("name", "pool"), [("a/b", "p"), ("-a", "p"), ("a@b", "p"), ("a", "../p"), ("a", ""), ("a", 5)]
)
async def test_strange_names_never_reach_ceph(
    site: Site, tools: Tools, ceph: Ceph, name: str, pool: Any
) -> None:
    with pytest.raises(errors.BadInput):
        await site.create(_disk(name, pool=pool))
    assert tools.calls() == []


async def test_an_answer_that_is_none_is_said(site: Site, tools: Tools) -> None:
    tools.fake("rbd", "no json")
    with pytest.raises(errors.Damaged, match="strange"):
        await site.storage.find(_disk())
