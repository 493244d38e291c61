"""An instance is exported to another node, and made again from there on a third."""

import time
from typing import Any

import pytest

from lab import consoles
from lab.cluster import clusters, conductor, instances, machines

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.xdist_group("system-export")]

_PATIENCE = 30.0


def _move(
    cluster: clusters.Cluster,
    described: dict[str, Any],
    source: tuple[machines.Machine, list[Any]],
    target: tuple[machines.Machine, list[Any]],
) -> None:
    """Have data moved between nodes as a master does, and forget the transfers."""
    options = {"compress": "gzip", "magic": "3a7bd3e2360a3d29", "connect_timeout": 20}
    here, there = source[0], target[0]
    into = cluster.call(there, "import_start", options, described, "disk0", target[1])
    (listening,) = cluster.call(there, "impexp_status", [into])
    out_of = cluster.call(
        here, "export_start", options, there.address, listening["listen_port"], described,
        "disk0", source[1],
    )  # fmt: skip
    deadline = time.monotonic() + _PATIENCE
    ends = ((here, out_of), (there, into))
    while True:
        said = [cluster.call(node, "impexp_status", [name])[0] for node, name in ends]
        if all("exit_status" in one for one in said):
            break
        assert time.monotonic() < deadline, said
        time.sleep(0.05)
    for node, name in ends:
        cluster.call(node, "impexp_cleanup", name)
    assert [one["exit_status"] for one in said] == [0, 0], said


def test_an_instance_is_exported_and_made_again_elsewhere(
    cluster: clusters.Cluster, master: conductor.Conductor
) -> None:
    first, second, third = cluster.nodes
    old = instances.Instance("web1.lab.example", cluster.shared)
    new = instances.Instance("web2.lab.example", cluster.shared)
    master.add(old, first)
    described = old.wire(first, admin_state="down")
    (disk,) = described["disks_info"]
    dump = f"/srv/ganeti/export/{old.name}.new/{disk['uuid']}"
    _move(cluster, described, (first, ["raw", [disk]]), (second, ["file", [dump]]))
    cluster.call(second, "finalize_export", described, [disk])
    assert cluster.call(second, "export_list") == [old.name]
    text = cluster.call(second, "export_info", f"/srv/ganeti/export/{old.name}")
    assert f"name = {old.name}\n" in text
    master.remove(old, first)

    master.add(new, third)
    (made,) = new.disks_info()
    path = f"/srv/ganeti/export/{old.name}/{disk['uuid']}"
    described = new.wire(third, admin_state="down")
    wiped = [made, 0, made["size"]]
    cluster.call(third, "blockdev_wipe", *wiped)
    _move(cluster, described, (second, ["file", [path]]), (third, ["raw", [made]]))
    master.start(new, third)
    with consoles.Console(third.layout.ctrl_dir / f"{new.name}.serial") as guest:
        assert guest.wait_up().count() == 1
    master.stop(new, third, timeout=0)
    master.remove(new, third)
    cluster.call(second, "export_remove", old.name)
    assert cluster.call(second, "export_list") == []
