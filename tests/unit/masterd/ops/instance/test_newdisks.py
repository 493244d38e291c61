"""Disks that are asked for lie where Ganeti's lie, by their template."""

import itertools
from typing import Any

import msgspec
import pytest

from lab import clusters
from pyganeti.base import errors
from pyganeti.masterd.ops.instance import newdisks
from pyganeti.model.config.disk import Disk
from pyganeti.model.disk import Template

NODE = clusters.node_uuid(0)


def made(template: str, *asked: dict[str, Any], **given: Any) -> list[Disk]:
    snapshot = clusters.open_to_instances()
    cluster = msgspec.structs.replace(snapshot.cluster, volume_group_name="xenvg")
    numbers = itertools.count()
    return newdisks.make(
        msgspec.structs.replace(snapshot, cluster=cluster), Template(template), asked,
        instance="web1", node=NODE, new_uuid=lambda: f"u{next(numbers)}", **given,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("template", "asked", "where", "nodes"),
    [
        ("file", {}, ("loop", "/srv/ganeti/file-storage/web1/u1.file.disk0"), (NODE,)),
        (
            "sharedfile",
            {},
            ("loop", "/srv/ganeti/shared-file-storage/web1/u1.sharedfile.disk0"),
            (),
        ),
        ("plain", {}, ("xenvg", "u1.disk0"), (NODE,)),
        ("plain", {"vg": "fast"}, ("fast", "u1.disk0"), (NODE,)),
        ("plain", {"adopt": "there"}, ("xenvg", "there"), (NODE,)),
        ("file", {"adopt": "/srv/x.img"}, ("loop", "/srv/x.img"), (NODE,)),
        ("blockdev", {"adopt": "/dev/disk/a"}, ("manual", "/dev/disk/a"), ()),
        ("rbd", {}, ("rbd", "u1.rbd.disk0"), ()),
        ("ext", {"provider": "pvdr"}, ("pvdr", "u1.ext.disk0"), ()),
        ("gluster", {}, ("loop", "ganeti/u1.0"), ()),
    ],
)
def test_a_disk_lies_where_its_template_has_it(
    template: str, asked: dict[str, Any], where: tuple[str, str], nodes: tuple[str, ...]
) -> None:
    [disk] = made(template, {"size": 10, **asked})

    assert disk.logical_id == where
    assert disk.nodes == nodes
    assert (disk.uuid, disk.iv_name, disk.size, disk.mode) == ("u0", "disk/0", 10, "rw")


def test_a_provider_is_told_what_else_was_asked() -> None:
    [disk] = made("ext", {"size": 1, "provider": "p", "tier": "fast", "access": "userspace"})

    assert disk.params == {"provider": "p", "tier": "fast", "access": "userspace"}


def test_later_disks_go_on_counting_in_the_directory_that_is_asked_for() -> None:
    disks = made("file", {"size": 1, "name": "a"}, {"size": 2, "mode": "ro"}, first=3,
                 directory="team/a", driver="blktap")  # fmt: skip

    assert [disk.iv_name for disk in disks] == ["disk/3", "disk/4"]
    assert disks[1].logical_id == (
        "blktap", "/srv/ganeti/file-storage/team/a/web1/u3.file.disk4",
    )  # fmt: skip
    assert (disks[0].name, disks[1].mode) == ("a", "ro")


@pytest.mark.parametrize(
    ("template", "asked", "words"),
    [
        ("drbd", {"size": 1}, "drbd cannot be made"),
        ("diskless", {"size": 1}, "has no disks"),
        ("file", {}, "Missing disk size"),
        ("file", {"size": True}, "Invalid disk size"),
        ("file", {"size": -1}, "Invalid disk size"),
        ("file", {"size": 1, "mode": "x"}, "access mode"),
        ("file", {"size": 1, "tier": "x"}, "no parameter 'tier'"),
        ("file", {"size": 1, "access": "userspace"}, "access=userspace is nothing for file"),
        ("rbd", {"size": 1, "access": "x"}, "access=x"),
        ("rbd", {"adopt": "x"}, "cannot be adopted"),
        ("blockdev", {"size": 1}, "adopt=DEVICE"),
        ("ext", {"size": 1}, "provider=NAME"),
    ],
)
def test_what_cannot_be_had_is_said(template: str, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.BadInput, match=words):
        made(template, asked)


@pytest.mark.parametrize("below", ["/abs", "../up", "a/../../up"])
def test_no_directory_leads_out_of_the_clusters(below: str) -> None:
    with pytest.raises(errors.BadInput, match="is not below"):
        made("file", {"size": 1}, directory=below)
