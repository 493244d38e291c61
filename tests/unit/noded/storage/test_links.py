"""Links to disks: replaced in one step, removed only if they are links."""

from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.noded.storage import links

from .conftest import Site


@pytest.fixture
def linked(short_dir: Path) -> links.Links:
    return links.Links(short_dir / "instance-disks")


def test_a_link_is_made_kept_and_replaced(linked: links.Links, short_dir: Path) -> None:
    link = linked.make("web1.example.com", 0, "/dev/a")
    assert link == short_dir / "instance-disks/web1.example.com:0"
    before = link.lstat().st_ino
    assert linked.make("web1.example.com", 0, "/dev/a").lstat().st_ino == before
    assert str(linked.make("web1.example.com", 0, "/dev/b").readlink()) == "/dev/b"


def test_what_a_killed_daemon_left_is_no_hindrance(linked: links.Links) -> None:
    link = linked.make("web1", 0, "/dev/a")
    link.with_name(f".new-{link.name}").symlink_to("/dev/x")
    assert str(linked.make("web1", 0, "/dev/b").readlink()) == "/dev/b"
    assert [entry.name for entry in link.parent.iterdir()] == ["web1:0"]


def test_links_are_removed_and_files_are_not(linked: links.Links) -> None:
    linked.make("web1", 0, "/dev/a")
    linked.make("web1", 2, "/dev/a")
    linked.path("web1", 1).write_text("no link")
    linked.make("web10", 0, "/dev/a")
    linked.remove("web1", range(4))
    left = sorted(entry.name for entry in linked.path("web1", 0).parent.iterdir())
    assert left == ["web10:0", "web1:1"]


@pytest.mark.parametrize(
    ("name", "index"),
    [("", 0), ("..", 0), ("../x", 0), ("a/b", 0), ("a\0", 0), ("a\nb", 0), ("a" * 300, 0),
     (".new-a", 0), ("a", -1)],
)  # fmt: skip
def test_strange_names_are_refused(linked: links.Links, name: str, index: int) -> None:
    with pytest.raises(errors.BadInput):
        linked.make(name, index, "/dev/a")
    with pytest.raises(errors.BadInput):
        linked.remove(name, [index])


async def test_disks_are_linked_on_assembly_opened_and_closed(site: Site) -> None:
    one, two = site.file("one"), site.file("two", format="qcow2")
    for disk in (one, two):
        await site.create(disk)
    linked = await site.storage.assemble(one, "web1", 0, "kvm", primary=True)
    assert linked is not None
    assert linked.link == site.layout.run_dir / "instance-disks/web1:0"
    assert linked.link.read_bytes() == (site.place / "one").read_bytes()
    assert await site.storage.assemble(one, "web1", 0, "kvm", primary=False) is None

    ready = await site.storage.prepare("web1", [one, two], "kvm")
    assert [(entry.link and entry.link.name, entry.device.format) for entry in ready] == [
        ("web1:0", "raw"), ("web1:1", "qcow2")
    ]  # fmt: skip
    await site.storage.close("", [one, two])
    assert len(list(linked.link.parent.iterdir())) == 2
    await site.storage.close("web1", [one, two])
    assert list(linked.link.parent.iterdir()) == []
    await site.storage.open("web1", [one, two], exclusive=False)
    assert len(list(linked.link.parent.iterdir())) == 2

    await site.storage.remove(two)
    with pytest.raises(errors.Unavailable, match="two"):
        await site.storage.prepare("web1", [one, two], "kvm")
    with pytest.raises(errors.Failure, match="two"):
        await site.storage.open("web1", [one, two], exclusive=True)


async def test_a_file_without_a_userspace_client_is_refused_one_and_not_linked(site: Site) -> None:
    disk = site.file(access="userspace")
    await site.create(disk)
    with pytest.raises(errors.BadInput, match="kernel"):
        await site.storage.assemble(disk, "web1", 0, "kvm", primary=True)
    assert not (site.layout.run_dir / "instance-disks").exists()
