"""Files on Gluster: mounted with the right words, and never written beneath a missing mount."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.model import disk as disks

from .conftest import Site, Tools


def _disk(path: str = "ganeti/uuid.0", **params: Any) -> disks.Disk:
    return disks.Disk(
        dev_type=disks.Template.GLUSTER,
        logical_id=("loop", path),
        size=4,
        params={"host": "10.0.0.1", "port": 24007, "volume": "gv0", **params},
    )


def _names(path: Path) -> list[str]:
    return [entry.name for entry in path.iterdir()]


@pytest.fixture
def point(site: Site) -> Path:
    point = site.layout.run_dir / "gluster"
    site.allow(point)
    return point


@pytest.fixture
def mountable(tools: Tools, point: Path) -> Iterator[None]:
    """Have ``mount`` mount something in memory where Gluster's volume would be."""
    tools.fake("mount", body="for last; do :; done; /bin/mount -t tmpfs -o size=8m gv0 $last")
    yield
    if point.is_mount():
        subprocess.run(["umount", str(point)], check=True)


@pytest.mark.root
@pytest.mark.usefixtures("mountable")
async def test_the_volume_is_mounted_once_and_files_are_made_in_it(
    site: Site, tools: Tools, point: Path
) -> None:
    assert await site.create(_disk()) == ["loop", "ganeti/uuid.0"]
    assert tools.calls() == [f"mount -t glusterfs -o server-port=24007 10.0.0.1:/gv0 {point}"]
    assert (point / "ganeti/uuid.0").stat().st_size == 4 * 1024 * 1024
    assert await site.storage.dimensions(_disk()) == (4 * 1024 * 1024, None)
    await site.storage.grow(_disk(), 1, dry_run=False, exclusive=False)
    await site.storage.wipe(_disk(), 0, 1)
    device = await site.storage.find(_disk())
    assert device is not None
    assert device.path == str(point / "ganeti/uuid.0")
    await site.storage.remove(_disk())
    assert await site.storage.find(_disk()) is None
    with pytest.raises(errors.BadInput, match="renamed"):
        await site.storage.rename(_disk(), ["loop", "x"])


@pytest.mark.root
@pytest.mark.usefixtures("mountable")
async def test_qemu_s_own_client_gets_a_uri(site: Site) -> None:
    await site.create(_disk())
    linked = await site.storage.assemble(_disk(access="userspace"), "web1", 0, "kvm", primary=True)
    assert linked is not None
    assert linked.uri == "gluster://10.0.0.1:24007/gv0/ganeti/uuid.0"
    linked = await site.storage.assemble(
        _disk(access="userspace", host="fd00::1"), "web1", 0, "kvm", primary=True
    )
    assert linked is not None
    assert linked.uri == "gluster://[fd00::1]:24007/gv0/ganeti/uuid.0"


async def test_nothing_is_written_where_the_mount_is_missing(
    site: Site, tools: Tools, point: Path
) -> None:
    tools.fake("mount")  # says that all is well
    with pytest.raises(errors.Unavailable, match="was not mounted"):
        await site.create(_disk())
    tools.fake("mount", body="echo 'Mount failed' >&2; exit 1")
    with pytest.raises(errors.Failure, match="Mount failed"):
        await site.create(_disk())
    assert not _names(point)


async def test_the_cluster_says_where_it_is_mounted(site: Site, tools: Tools) -> None:
    (site.layout.state_dir / "ssconf_gluster_storage_dir").write_text(f"{site.place}/g\n")
    tools.fake("mount")
    with pytest.raises(errors.Unavailable):
        await site.storage.find(_disk())
    assert tools.calls()[0].endswith(f"10.0.0.1:/gv0 {site.place}/g")


@pytest.mark.parametrize(
    "params",
    [{"host": "-oexec"}, {"host": "a;b"}, {"host": 5}, {"port": 0}, {"port": "24007"},
     {"volume": "a/b"}, {"volume": "-x"}, {"volume": ""}],
)  # fmt: skip
async def test_strange_parameters_never_reach_mount(
    site: Site, tools: Tools, point: Path, params: dict[str, Any]
) -> None:
    tools.fake("mount")
    with pytest.raises(errors.BadInput):
        await site.create(_disk(**params))
    assert tools.calls() == []


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", ""])
async def test_paths_that_lead_out_are_refused(
    site: Site, tools: Tools, point: Path, path: str
) -> None:
    tools.fake("mount")
    with pytest.raises(errors.BadInput):
        await site.create(_disk(path))
    assert tools.calls() == []
