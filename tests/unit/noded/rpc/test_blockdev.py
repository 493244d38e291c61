"""The calls about disks: what a master of Ganeti 3.0 sends goes in, what it reads comes out."""

# ruff: noqa: FBT003 - the protocol has positions, not names

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from pyganeti.base import errors, paths
from pyganeti.noded import app, calls, settings
from pyganeti.noded.rpc import blockdev
from pyganeti.noded.rpc import storage as storage_calls

Ask: TypeAlias = Callable[..., Awaitable[Any]]
_INSTANCE = {"name": "web1.example.com", "hypervisor": "kvm", "more": None}


@pytest.fixture
def place(short_dir: Path) -> Path:
    place = short_dir / "disks"
    place.mkdir()
    return place


@pytest.fixture
def ask(short_dir: Path, place: Path) -> Ask:
    """Ask as a master does; the answer is as it goes out."""
    layout = paths.Paths(short_dir / "root", "node1")
    layout.config_dir.mkdir(parents=True)
    (layout.config_dir / "file-storage-paths").write_text(f"{place}\n")
    chosen = settings.Settings(
        layout=layout, bind="127.0.0.1", port=0, certificate=None, key=None, mlock=False
    )
    node = app.make_node(chosen, lambda: None)
    table = calls.Table([blockdev.CALLS, storage_calls.CALLS])

    async def ask(name: str, *arguments: Any) -> Any:
        bound = table.find(name)
        assert bound is not None
        checked = bound.check(json.loads(json.dumps(arguments)))
        bound.call.serial(checked)
        return json.loads(json.dumps(await bound.call.handler(node, *checked)))

    return ask


def _file(place: Path, name: str = "disk0", **more: Any) -> dict[str, Any]:
    return {"dev_type": "file", "logical_id": ["loop", str(place / name)], "size": 4,
            "iv_name": "disk/0", "params": {}, "uuid": name, **more}  # fmt: skip


def _names(place: Path) -> list[str]:
    return sorted(entry.name for entry in place.iterdir())


async def test_a_disk_s_life_in_the_shapes_that_masters_read(
    ask: Ask, place: Path, short_dir: Path
) -> None:
    disk = _file(place)
    path = str(place / "disk0")
    made = await ask("blockdev_create", disk, 4, "web1.example.com", True, "info", False)
    assert made == ["loop", path]
    link = f"{short_dir}/root/var/run/ganeti/instance-disks/web1.example.com:0"
    assert await ask("blockdev_assemble", disk, _INSTANCE, True, 0) == [path, link, None]
    assert await ask("blockdev_assemble", disk, _INSTANCE, False, 0) == [True, True]
    status = {"dev_path": path, "is_degraded": False, "ldisk_status": 1}
    assert await ask("blockdev_find", disk) == status
    assert await ask("blockdev_getmirrorstatus", [disk]) == [status]
    assert await ask("blockdev_getmirrorstatus", []) == []
    none = _file(place, "none")
    several = await ask("blockdev_getmirrorstatus_multi", [disk, none])
    assert several[0] == [True, status]
    assert several[1][0] is False
    assert "none" in several[1][1]
    assert await ask("blockdev_getdimensions", [disk, none]) == [[4194304, None], None]
    assert await ask("blockdev_find", none) is None
    synced = await ask("blockdev_pause_resume_sync", [disk, none], True)
    assert synced[0] == [True, None]
    assert synced[1][0] is False
    for backing in (False, True):
        assert await ask("blockdev_grow", disk, 2, False, backing, False) is None
    assert await ask("blockdev_getdimensions", [disk]) == [[6291456, None]]
    assert await ask("blockdev_setinfo", disk, "text") is None
    assert await ask("blockdev_wipe", disk, 0, 4) is None
    assert await ask("blockdev_open", "web1.example.com", [disk], False) is None
    assert await ask("blockdev_close", "web1.example.com", [disk]) is None
    assert await ask("blockdev_shutdown", disk) is None
    renamed = ["loop", str(place / "new")]
    assert await ask("blockdev_rename", [[disk, renamed]]) is None
    assert await ask("blockdev_remove", {**disk, "logical_id": renamed}) is None
    assert _names(place) == []


async def test_images_and_copies_go_by_the_calls_too(
    ask: Ask, place: Path, short_dir: Path
) -> None:
    one, two = _file(place, "one"), _file(place, "two", params={"format": "qcow2"})
    for disk in (one, two):
        await ask("blockdev_create", disk, 4, "web1", True, "", False)
    (short_dir / "image").write_bytes(b"boot" * 128)
    assert await ask("blockdev_image", one, str(short_dir / "image"), 4) is None
    assert await ask("blockdev_convert", one, two) is None
    assert (place / "one").read_bytes().startswith(b"bootboot")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("blockdev_create", [{}, 1, "a", True, "", False]),
        ("blockdev_create", ["disk", 1, "a", True, "", False]),
        ("blockdev_create", [{"dev_type": "file", "logical_id": ["l", "/x"]}, 1, "a", True]),
        ("blockdev_assemble", [{"dev_type": "file", "logical_id": ["l", "/x"]}, {}, True, 0]),
        ("blockdev_assemble", [None, None, None, None]),
        ("blockdev_open", ["web1", {}, True]),
        ("blockdev_open", ["web1", [None], True]),
        ("blockdev_rename", [[[{}]]]),
        ("blockdev_getdimensions", [[5]]),
        ("blockdev_addchildren", [{"dev_type": "file", "logical_id": ["l", "/x"]}, []]),
        ("storage_list", ["file", [5], None, ["name"]]),
        ("file_storage_dir_create", [["x"]]),
        ("file_storage_dir_create", ["/tmp/../etc"]),
        ("bdev_sizes", ["/dev/sda"]),
    ],
)
async def test_arguments_that_make_no_sense_are_refused(
    ask: Ask, place: Path, name: str, arguments: list[Any]
) -> None:
    with pytest.raises(errors.BadInput):
        await ask(name, *arguments)
    assert _names(place) == []


@pytest.mark.parametrize("instance", ["../web1", "a/b", "..", ""])
async def test_an_instance_s_name_leads_nowhere(ask: Ask, place: Path, instance: str) -> None:
    disk = _file(place)
    await ask("blockdev_create", disk, 4, "web1", True, "", False)
    with pytest.raises(errors.BadInput, match="not the name"):
        await ask("blockdev_assemble", disk, {**_INSTANCE, "name": instance}, True, 0)
    if instance:
        with pytest.raises(errors.Failure, match="not the name"):
            await ask("blockdev_open", instance, [disk], True)
        with pytest.raises(errors.BadInput, match="not the name"):
            await ask("blockdev_close", instance, [disk])


async def test_a_rename_goes_on_after_one_that_fails(ask: Ask, place: Path) -> None:
    one, two = _file(place, "one"), _file(place, "two")
    await ask("blockdev_create", two, 4, "web1", True, "", False)
    with pytest.raises(errors.Failure, match="one does not exist"):
        await ask("blockdev_rename", [
            [one, ["loop", str(place / "a")]], [two, ["loop", str(place / "b")]],
        ])  # fmt: skip
    assert _names(place) == ["b"]


async def test_drbd_is_refused_by_name_and_children_with_it(ask: Ask) -> None:
    drbd = {"dev_type": "drbd", "logical_id": ["a", "b", 1, 0, 0, "s"], "size": 4}
    for name in ("blockdev_addchildren", "blockdev_removechildren"):
        with pytest.raises(errors.Unavailable, match="DRBD yet"):
            await ask(name, drbd, [drbd])
    with pytest.raises(errors.Unavailable, match="DRBD yet"):
        await ask("blockdev_create", drbd, 4, "web1", False, "", False)


async def test_sizes_are_told_of_devices_alone(ask: Ask, place: Path) -> None:
    assert await ask("bdev_sizes", ["/dev/null", "/etc/passwd", "/dev/../etc", "/dev/none"]) == {}


async def test_directories_and_units_are_listed(ask: Ask, place: Path) -> None:
    assert await ask("file_storage_dir_create", f"{place}/web1") is None
    (place / "web1/file").write_bytes(bytes(2 * 1024 * 1024))
    rows = await ask("storage_list", "file", [[str(place)]], None,
                     ["name", "used", "allocatable", "free", "size"])  # fmt: skip
    assert rows[0][:3] == [str(place), 2, True]
    assert 0 < rows[0][3] <= rows[0][4]
    assert await ask("storage_list", "sharedfile", [[]], str(place), ["name"]) == [[str(place)]]
    with pytest.raises(errors.Unavailable, match="No such file"):
        await ask("storage_list", "file", [["/none"]], None, ["free"])
    (place / "web1/file").unlink()
    assert await ask("file_storage_dir_rename", f"{place}/web1", f"{place}/web2") is None
    assert await ask("file_storage_dir_remove", f"{place}/web2") is None
    assert _names(place) == []
    assert await ask("extstorage_diagnose") == []


def test_calls_on_one_disk_wait_for_each_other_and_name_no_secret(place: Path) -> None:
    table = calls.Table([blockdev.CALLS])

    def key(name: str, *arguments: Any) -> str | None:
        bound = table.find(name)
        assert bound is not None
        return bound.call.serial(arguments)

    disk = _file(place)
    assert key("blockdev_wipe", disk, 0, 1) == key("blockdev_remove", disk)
    assert key("blockdev_remove", disk) is not None
    assert key("blockdev_remove", disk) != key("blockdev_remove", _file(place, "other"))
    assert key("blockdev_assemble", disk, _INSTANCE, True, 0) == "web1.example.com"
    assert key("blockdev_find", disk) is None
    bare = {"dev_type": "drbd", "logical_id": ["a", "b", 1, 0, 0, "s3cret"]}
    assert "s3cret" not in str(key("blockdev_remove", bare))
