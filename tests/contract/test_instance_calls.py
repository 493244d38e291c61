"""What nodes are asked when an instance comes and goes is what a real Ganeti master asks them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import answeringnodes, configurations, masterparts
from pyganeti.masterd.config import draft
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance

GOLDEN = Path(__file__).parents[1] / "golden/rpc"
NAME = "k1.example.com"
NODE = "node1.example.com"
OS = "noop+default"
VOLATILE = {"uuid", "disks", "mac", "ctime", "mtime", "serial_no", "network_port", "primary_node"}
LATER = {"serial_no", "ctime", "mtime", "children", "forthcoming"}
"""What tells a disk that is in the configuration from one that is not: ours is when it is made."""


def bodies(call: str) -> list[Any]:
    found: list[Any] = json.loads((GOLDEN / f"{call}.json").read_text())
    return found


def steady(told: Any, *, without: frozenset[str] = frozenset()) -> Any:
    """Return what nodes were told, without what is another each time."""
    if isinstance(told, dict):
        return {
            key: "…" if key in VOLATILE else steady(value, without=without)
            for key, value in sorted(told.items())
            if key not in without
        }
    if isinstance(told, list):
        return [steady(one, without=without) for one in told]
    if isinstance(told, str) and told.startswith("/srv/ganeti/shared-file-storage/"):
        return told if told.count("/") < 5 else "…"
    return told


@pytest.fixture
def snapshot() -> Snapshot:
    """Return the recorded cluster as it was before its instance."""
    recorded = configurations.real()
    changed = draft.Draft(recorded, 0.0)
    for one in list(recorded.instances.values()):
        changed.remove_instance(one)
    return changed.snapshot


@pytest.fixture
async def nodes(snapshot: Snapshot) -> AsyncIterator[answeringnodes.Answering]:
    async with answeringnodes.started(snapshot.nodes.values()) as started:
        started.obey(snapshot)
        yield started


def created(**given: Any) -> instance.InstanceCreate:
    """Return the opcode with which the recorded instance was made."""
    made = instance.InstanceCreate(
        mode="create",
        instance_name=NAME,
        pnode=NODE,
        disk_template="sharedfile",
        disks=[{"size": 16}],
        nics=[{"mode": "routed", "link": "lo", "ip": "10.9.9.9"}],
        os_type=OS,
        hypervisor="kvm",
        beparams={"memory": 64},
        name_check=False,
        ip_check=False,
        start=False,
        reason=[],
    )
    return msgspec.structs.replace(made, **given)


async def test_a_new_instance_is_told_as_a_real_master_tells_it(
    tmp_path: Path, snapshot: Snapshot, nodes: answeringnodes.Answering
) -> None:
    async with (
        nodes.asking() as asking,
        masterparts.opened(tmp_path, snapshot, nodes=asking) as parts,
    ):
        assert await parts.run(created()) == [[NODE]]

    asked = [(call, arguments) for _, call, arguments in nodes.asked]
    assert [call for call, _ in asked] == [
        "hypervisor_validate_params",
        "os_validate",
        "hooks_runner",
        "file_storage_dir_create",
        "blockdev_create",
        "blockdev_getmirrorstatus",
        "os_diagnose",
        "instance_os_add",
        "instance_metadata_modify",
        "hooks_runner",  # for the changed configuration
        "hooks_runner",
    ]
    told = dict(asked)
    for call in ("os_validate", "file_storage_dir_create", "instance_metadata_modify"):
        assert steady(told[call]) == steady(bodies(call)[0]), call
    assert steady(told["hypervisor_validate_params"]) in steady(
        bodies("hypervisor_validate_params")
    )
    assert steady(told["instance_os_add"]) == steady(bodies("instance_os_add")[0])
    assert steady(told["blockdev_create"], without=frozenset(LATER)) == steady(
        bodies("blockdev_create")[0], without=frozenset(LATER)
    )
    hooks = [arguments for call, arguments in asked if call == "hooks_runner"]
    hooks = [arguments for arguments in hooks if arguments[0] == "instance-add"]
    recorded = [body for body in bodies("hooks_runner") if body[0] == "instance-add"]
    assert _environments(hooks) == _environments(recorded)


def _environments(hooks: list[Any]) -> list[Any]:
    found = []
    for path, phase, environment in hooks:
        told = {
            key: "…" if key.endswith(("_MAC", "_UUID", "_DATA_DIR")) else value
            for key, value in environment.items()
        }
        found.append([path, phase, told])
    return found


async def test_an_instance_that_goes_is_taken_away_as_by_a_real_master(
    tmp_path: Path, snapshot: Snapshot, nodes: answeringnodes.Answering
) -> None:
    async with (
        nodes.asking() as asking,
        masterparts.opened(tmp_path, snapshot, nodes=asking) as parts,
    ):
        await parts.run(created())
        nodes.asked.clear()
        await parts.run(instance.InstanceRemove(instance_name=NAME))
        assert not parts.config.current.instances
        assert not parts.config.current.disks

    asked = [(call, arguments) for _, call, arguments in nodes.asked]
    assert [call for call, _ in asked if call != "hooks_runner"] == [
        "instance_shutdown",
        "blockdev_remove",
        "file_storage_dir_remove",
    ]
    told = dict(asked)
    assert steady(told["blockdev_remove"]) == steady(bodies("blockdev_remove")[0])
    assert steady(told["file_storage_dir_remove"]) == steady(bodies("file_storage_dir_remove")[0])
    assert told["instance_shutdown"][1] == 120
