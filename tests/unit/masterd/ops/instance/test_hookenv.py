"""What hooks hear of an instance is what a real Ganeti told them of the same one."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import clusters
from pyganeti.masterd.ops.instance import hookenv
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance, Nic
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.config.table import Table
from pyganeti.model.disk import Template

GOLDEN = Path(__file__).parents[4] / "golden/rpc/hooks_runner.json"
OWN = {"FORCE"}


def recorded(path: str, phase: str) -> dict[str, str]:
    """Return the recorded environment of one run of hooks."""
    found: dict[str, str] = next(
        call[2] for call in json.loads(GOLDEN.read_text()) if call[:2] == [path, phase]
    )
    return found


@pytest.fixture
def snapshot() -> Snapshot:
    said = recorded("instance-start", "pre")
    small = clusters.small(nodes=1, instances=0)
    uuid = said["GANETI_INSTANCE_DISK0_UUID"]
    disk = Disk(
        dev_type=Template.SHARED_FILE,
        logical_id=("loop", said["GANETI_INSTANCE_DISK0_ID"]),
        size=16,
        uuid=uuid,
    )
    hypervisor: dict[str, Any] = {}
    for key, value in said.items():
        if key.startswith("GANETI_INSTANCE_HV_"):
            hypervisor[key.removeprefix("GANETI_INSTANCE_HV_")] = _typed(value)
    instance = Instance(
        name="k1.example.com",
        uuid="i",
        primary_node=small.cluster.master_node,
        os="noop+default",
        beparams={"minmem": 64, "maxmem": 64, "vcpus": 1},
        disks=(uuid,),
        nics=(
            Nic(
                mac=said["GANETI_INSTANCE_NIC0_MAC"],
                uuid=said["GANETI_INSTANCE_NIC0_UUID"],
                ip="10.9.9.9",
                nicparams={"mode": "routed", "link": "lo"},
            ),
        ),
    )
    cluster = msgspec.structs.replace(small.cluster, hvparams={"kvm": hypervisor})
    return msgspec.structs.replace(
        small, cluster=cluster, instances=Table({"i": instance}), disks=Table({uuid: disk})
    )


def _typed(value: str) -> Any:
    if value in {"True", "False"}:
        return value == "True"
    return int(value) if value.isdigit() else value


def test_hooks_hear_of_an_instance_what_ganeti_tells(snapshot: Snapshot) -> None:
    said = recorded("instance-start", "pre")

    made = hookenv.of(snapshot, snapshot.instances["i"])

    theirs = {
        key.removeprefix("GANETI_"): value
        for key, value in said.items()
        if key.startswith(("GANETI_INSTANCE_", "GANETI_OP_TARGET"))
    }
    ours = {key: str(value) for key, value in made.items()}
    assert {key: ours.get(key) for key in theirs} == theirs


def test_disks_that_are_yet_to_be_made_are_told_by_their_size(snapshot: Snapshot) -> None:
    said = recorded("instance-add", "pre")
    planned = Disk(dev_type=Template.SHARED_FILE, size=16)

    made = hookenv.of(snapshot, snapshot.instances["i"], disks=[planned], status=False)

    theirs = {key: said[f"GANETI_{key}"] for key in made if "DISK" in key or "STATUS" in key}
    assert {key: str(made[key]) for key in theirs} == theirs


@pytest.mark.parametrize(
    ("templates", "word"),
    [([], "diskless"), (["file", "file"], "file"), (["file", "rbd"], "mixed")],
)
def test_an_instances_template_is_that_of_its_disks(templates: list[str], word: str) -> None:
    disks = [Disk(dev_type=Template(one), uuid=str(i)) for i, one in enumerate(templates)]

    assert hookenv.template_of(disks) == word
