"""What nodes are asked while an instance lives and moves is what a real Ganeti master asks them."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import answeringnodes, configurations, masterparts
from pyganeti.base import errors
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.config.table import Table
from pyganeti.model.opcodes import instance

GOLDEN = Path(__file__).parents[1] / "golden/rpc"
NAME, SOURCE, TARGET = "k1.example.com", "node1.example.com", "node2.example.com"
INFORMATION = "[]\n"
FREE = [
    "boot",
    [],
    [{"memory_free": 4096, "memory_total": 8192, "hv_version": [7, 2, 0]}],
]

VOLATILE = {"serial_no", "mtime", "uuid", "ctime", "disks", "primary_node", "network_port", "mac"}
VOLATILE_ENVIRONMENT = ("_MAC", "_UUID", "_DATA_DIR", "_ID")

Asked = list[tuple[str, str, list[Any]]]


def bodies(call: str) -> list[Any]:
    found: list[Any] = json.loads((GOLDEN / f"{call}.json").read_text())
    return found


def steady(told: Any) -> Any:
    """Return what nodes were told, without what is another each time."""
    if isinstance(told, dict):
        return {
            key: "…" if key in VOLATILE else steady(value) for key, value in sorted(told.items())
        }
    if isinstance(told, list):
        return [steady(one) for one in told]
    if isinstance(told, str) and told.startswith("/srv/ganeti/shared-file-storage/"):
        return "…"
    return told


@pytest.fixture
def snapshot() -> Snapshot:
    """Return the recorded cluster, its instance on its first node and down."""
    recorded = configurations.real()
    [one] = recorded.instances.values()
    placed = msgspec.structs.replace(
        one, primary_node=recorded.node(SOURCE).uuid, admin_state="down", disks_active=False
    )
    return msgspec.structs.replace(recorded, instances=Table({placed.uuid: placed}))


@pytest.fixture
async def nodes(snapshot: Snapshot) -> AsyncIterator[answeringnodes.Answering]:
    async with answeringnodes.started(snapshot.nodes.values()) as started:
        started.obey(snapshot)
        for name in (SOURCE, TARGET):
            started.say(name, "node_info", FREE)
            for call in (
                "accept_instance",
                "blockdev_close",
                "blockdev_open",
                "instance_finalize_migration_dst",
                "instance_finalize_migration_src",
                "instance_migratable",
                "instance_migrate",
                "instance_reboot",
            ):
                started.say(name, call, None)
        started.say(SOURCE, "migration_info", INFORMATION)
        started.say(SOURCE, "instance_get_migration_status", {"status": "completed"})
        yield started


@pytest.fixture
async def parts(
    tmp_path: Path, snapshot: Snapshot, nodes: answeringnodes.Answering
) -> AsyncIterator[masterparts.Parts]:
    async with (
        nodes.asking() as asking,
        masterparts.opened(tmp_path, snapshot, nodes=asking) as opened,
    ):
        yield opened


def runs(nodes: answeringnodes.Answering) -> None:
    nodes.say(SOURCE, "instance_info", {"memory": 64, "vcpus": 1, "state": 0, "time": 0})


def without_hooks(asked: Asked) -> list[str]:
    return [call for _, call, _ in asked if call != "hooks_runner"]


def environments(hooks: list[Any], path: str) -> list[Any]:
    found = []
    for name, phase, environment in hooks:
        if name == path:
            told = {
                key: "…" if key.endswith(VOLATILE_ENVIRONMENT) else value
                for key, value in environment.items()
            }
            found.append([phase, told])
    return found


async def test_a_start(parts: masterparts.Parts, nodes: answeringnodes.Answering) -> None:
    await parts.run(instance.InstanceStartup(instance_name=NAME))

    assert without_hooks(nodes.asked) == [
        "instance_info",
        "node_info",
        "blockdev_assemble",
        "blockdev_assemble",
        "instance_start",
    ]
    told = [arguments for _, call, arguments in nodes.asked if call == "blockdev_assemble"]
    assert steady(told) == steady(bodies("blockdev_assemble")[:2])
    [[described, paused, _]] = [
        arguments for _, call, arguments in nodes.asked if call == "instance_start"
    ]
    assert steady([described, paused]) == steady(bodies("instance_start")[0][:2])
    [info] = [arguments for _, call, arguments in nodes.asked if call == "instance_info"]
    assert steady(info) == steady(bodies("instance_info")[0])
    hooks = [arguments for _, call, arguments in nodes.asked if call == "hooks_runner"]
    assert environments(hooks, "instance-start") == environments(
        bodies("hooks_runner"), "instance-start"
    )
    kept = parts.config.current.instance(NAME)
    assert (kept.admin_state, kept.admin_state_source, kept.disks_active) == ("up", "admin", True)


async def test_a_shutdown(parts: masterparts.Parts, nodes: answeringnodes.Answering) -> None:
    await parts.run(instance.InstanceStartup(instance_name=NAME))
    nodes.asked.clear()

    await parts.run(instance.InstanceShutdown(instance_name=NAME))

    assert without_hooks(nodes.asked) == ["instance_shutdown", "blockdev_shutdown"]
    [[described, timeout, _]] = [
        arguments for _, call, arguments in nodes.asked if call == "instance_shutdown"
    ]
    assert described["admin_state"] == "down"
    assert described["disks_active"]
    assert described.keys() == bodies("instance_shutdown")[0][0].keys()
    assert timeout == 120
    kept = parts.config.current.instance(NAME)
    assert (kept.admin_state, kept.disks_active) == ("down", False)


@pytest.mark.parametrize("kind", ["soft", "hard"])
async def test_a_reboot_of_one_that_runs(
    parts: masterparts.Parts, nodes: answeringnodes.Answering, kind: Any
) -> None:
    await parts.run(instance.InstanceStartup(instance_name=NAME))
    runs(nodes)
    nodes.asked.clear()

    await parts.run(instance.InstanceReboot(instance_name=NAME, reboot_type=kind))

    assert without_hooks(nodes.asked) == ["instance_info", "instance_reboot"]
    [[described, asked, timeout, _]] = [
        arguments for _, call, arguments in nodes.asked if call == "instance_reboot"
    ]
    [[recorded, _, _, _]] = bodies("instance_reboot")
    assert steady(described) == steady(recorded)
    assert (asked, timeout) == (kind, 120)


async def test_a_full_reboot(parts: masterparts.Parts, nodes: answeringnodes.Answering) -> None:
    await parts.run(instance.InstanceStartup(instance_name=NAME))
    runs(nodes)
    nodes.asked.clear()

    await parts.run(instance.InstanceReboot(instance_name=NAME, reboot_type="full"))

    assert without_hooks(nodes.asked) == [
        "instance_info",
        "instance_shutdown",
        "blockdev_shutdown",
        "blockdev_assemble",
        "blockdev_assemble",
        "instance_start",
    ]
    kept = parts.config.current.instance(NAME)
    assert (kept.admin_state, kept.disks_active) == ("up", True)


async def test_a_migration(parts: masterparts.Parts, nodes: answeringnodes.Answering) -> None:
    await parts.run(instance.InstanceStartup(instance_name=NAME))
    runs(nodes)
    nodes.asked.clear()

    await parts.run(instance.InstanceMigrate(instance_name=NAME, target_node=TARGET))

    short = {SOURCE: "P", TARGET: "T"}
    asked = [f"{call}({short[name]})" for name, call, _ in nodes.asked if call != "hooks_runner"]
    looks = [one for one in asked if one.startswith("node_info")]
    assert sorted(looks) == ["node_info(P)", "node_info(T)", "node_info(T)"]
    assert [one for one in asked if not one.startswith("node_info")] == [
        "instance_migratable(P)",
        "instance_info(P)",
        "migration_info(P)",
        "blockdev_close(T)",
        "blockdev_open(P)",
        "blockdev_open(T)",
        "accept_instance(T)",
        "instance_migrate(P)",
        "instance_get_migration_status(P)",
        "instance_finalize_migration_dst(T)",
        "instance_finalize_migration_src(P)",
        "blockdev_close(P)",
        "blockdev_open(T)",
    ]
    for call in (
        "instance_migratable",
        "migration_info",
        "instance_get_migration_status",
        "instance_finalize_migration_src",
        "instance_migrate",
        "blockdev_close",
    ):
        told = [arguments for _, asked_for, arguments in nodes.asked if asked_for == call]
        recorded = bodies(call)[0]
        assert addressless(steady(told[0])) == addressless(steady(recorded)), call
    for call, place in (("accept_instance", 2), ("instance_finalize_migration_dst", 2)):
        [arguments] = [given for _, asked_for, given in nodes.asked if asked_for == call]
        [recorded] = bodies(call)
        assert steady(arguments[0]) == steady(recorded[0]), call
        assert arguments[1] == INFORMATION
        assert addressless(arguments[place]) == addressless(recorded[place])
    opened = [given[2] for _, call, given in nodes.asked if call == "blockdev_open"]
    assert opened == [False, False, True]
    hooks = [arguments for _, call, arguments in nodes.asked if call == "hooks_runner"]
    found = environments(hooks, "instance-migrate")
    recorded_hooks = dict(environments(bodies("hooks_runner"), "instance-migrate"))
    assert [phase for phase, _ in found] == ["pre", "pre", "post", "post"]  # on both nodes
    for phase, told in found:
        assert told == recorded_hooks[phase]
    assert (
        parts.config.current.instance(NAME).primary_node == parts.config.current.node(TARGET).uuid
    )


async def test_a_node_that_does_not_answer_leaves_holes_and_no_failure(
    parts: masterparts.Parts, nodes: answeringnodes.Answering
) -> None:
    def refuse(*_: object) -> None:
        raise errors.Failure("out of order")

    nodes.say(SOURCE, "instance_info", refuse)
    job = await parts.submit(instance.InstanceQueryData())

    assert await parts.ended(job) == "success"
    [[[told]]] = await parts.values(job, "opresult")
    assert told[NAME]["run_state"] is None
    assert told[NAME]["disks"][0]["pstatus"] is None
    assert any("out of order" in text for text in await parts.said(job))


async def test_static_information_asks_nobody(
    parts: masterparts.Parts, nodes: answeringnodes.Answering
) -> None:
    [told] = await parts.run(instance.InstanceQueryData(instances=["k1"], static=True))

    assert told[NAME]["hv_actual"]["acpi"]
    assert "migration_port" not in told[NAME]["hv_actual"]
    assert nodes.asked == []


async def test_the_console_is_as_the_node_describes_it(
    parts: masterparts.Parts, nodes: answeringnodes.Answering
) -> None:
    described = {"instance": NAME, "kind": "vnc", "host": "0.0.0.0", "port": 11000, "display": 5100}  # noqa: S104
    nodes.say(SOURCE, "instance_list", [])
    nodes.say(SOURCE, "instance_console_info", {NAME: described})
    with pytest.raises(errors.Failure, match=r"not running \(state ADMIN_down\)"):
        await parts.run(instance.InstanceConsole(instance_name=NAME))
    nodes.say(SOURCE, "instance_list", [NAME])

    assert await parts.run(instance.InstanceConsole(instance_name=NAME)) == [described]

    [[request]] = [
        arguments for _, call, arguments in nodes.asked if call == "instance_console_info"
    ]
    assert sorted(request[NAME]) == ["beParams", "group", "hvParams", "instance", "node"]


DEBIAN = Path("/usr/share/ganeti/3.0")
SHOW = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ganeti import cli
from ganeti.client import gnt_instance
told = json.load(sys.stdin)
cli.PrintGenericInfo([gnt_instance._FormatInstanceInfo(one, False) for one in told.values()])
"""


@pytest.mark.skipif(not (DEBIAN / "ganeti").is_dir(), reason="needs Debian's package ganeti-3.0")
async def test_what_is_told_of_an_instance_is_what_debians_command_shows(
    parts: masterparts.Parts, nodes: answeringnodes.Answering
) -> None:
    await parts.run(instance.InstanceStartup(instance_name=NAME))
    runs(nodes)
    status = {"dev_path": "/dev/x", "is_degraded": False, "ldisk_status": 1}
    nodes.say(SOURCE, "blockdev_find", status)
    [told] = await parts.run(instance.InstanceQueryData(instances=[NAME]))

    shown = await asyncio.to_thread(
        subprocess.run,
        ["/usr/bin/python3", "-c", SHOW, str(DEBIAN)],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert shown.returncode == 0, shown.stderr
    lines = [line.strip() for line in shown.stdout.splitlines()]
    assert f"- Instance name: {NAME}" in lines
    assert "State: configured to be up, actual state is up" in lines
    assert "on primary: /dev/x (N/A:N/A)" in lines
    assert "- primary: node1.example.com" in lines
    assert "maxmem: 64" in lines


def addressless(told: Any) -> Any:
    """Return arguments without addresses: the laboratory's nodes have others."""
    if isinstance(told, list):
        return [addressless(one) for one in told]
    return "…" if isinstance(told, str) and told.startswith("127.") else told
