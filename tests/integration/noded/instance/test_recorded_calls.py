"""What a real master sent, word for word but for the disk's path, answered in Ganeti's shapes."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import guests, hosts
from pyganeti.noded import app, calls, settings
from pyganeti.noded.rpc import dispatch
from pyganeti.noded.rpc import instance as instance_calls

pytestmark = [pytest.mark.qemu, pytest.mark.root]

_GOLDEN = Path(__file__).parents[3] / "golden/rpc"
_SHAPE = {"memory", "vcpus", "state", "time"}


def dispatcher_of(host: hosts.Host) -> dispatch.Dispatcher:
    chosen = settings.Settings(
        layout=host.layout, bind="127.0.0.1", port=0, certificate=None, key=None
    )
    node = app.make_node(chosen, lambda: None)
    node.hypervisor = host.parts
    return dispatch.Dispatcher(calls.Table([instance_calls.CALLS]), node)


def asker(host: hosts.Host) -> Callable[..., Any]:
    """Return what has a node of ours answer a call."""
    dispatcher = dispatcher_of(host)

    async def ask(name: str, arguments: list[Any]) -> Any:
        body = json.dumps(arguments).encode()
        told = json.loads(
            await dispatcher.answer(name, body, caller="master", is_wanted=lambda: True)
        )
        assert len(told) == 2
        return told

    return ask


@pytest.fixture
def ask(host: hosts.Host) -> Callable[..., Any]:
    return asker(host)


def recorded(host: hosts.Host, name: str) -> list[Any]:
    """Return a recorded request, its disks' paths moved below this node's root."""
    body: list[Any] = json.loads((_GOLDEN / f"{name}.json").read_text())[0]
    for argument in body:
        if isinstance(argument, dict) and "disks_info" in argument:
            argument["disks_info"] = host.describe(sector=guests.polite())["disks_info"]
    return body


async def test_an_instances_life_as_a_master_has_it(
    host: hosts.Host, ask: Callable[..., Any]
) -> None:
    assert await ask(
        "hypervisor_validate_params", recorded(host, "hypervisor_validate_params")
    ) == [
        True,
        None,
    ]
    information = recorded(host, "instance_info")
    every = recorded(host, "all_instances_info")
    assert await ask("instance_info", information) == [True, {}]
    assert await ask("all_instances_info", every) == [True, {}]
    assert await ask("instance_start", recorded(host, "instance_start")) == [True, None]
    assert await ask("instance_start", recorded(host, "instance_start")) == [True, None]
    went, told = await ask("instance_info", information)
    assert went
    assert told == {"memory": 64, "vcpus": 1, "state": 0, "time": 0}
    assert await ask("all_instances_info", every) == [True, {"k1.example.com": told}]
    assert await ask("instance_list", every) == [True, ["k1.example.com"]]
    assert await ask("instance_migratable", recorded(host, "instance_migratable")) == [True, None]
    went, runtime = await ask("migration_info", recorded(host, "migration_info"))
    assert went
    command, nics, hvparams, disks = json.loads(runtime)
    assert command[:3] == ["/usr/bin/qemu-system-x86_64", "-name", "k1.example.com"]
    assert nics[0]["hvinfo"]["driver"] == "virtio-net-pci"
    assert hvparams["migration_port"] == 18102
    assert disks[0][0]["hvinfo"]["driver"] == "virtio-blk-pci"
    reboot = recorded(host, "instance_reboot")
    reboot[2] = 1
    before = host.running()
    assert await ask("instance_reboot", reboot) == [True, None]
    after = host.running()
    assert before is not None
    assert after is not None
    assert before.pid != after.pid
    shutdown = recorded(host, "instance_shutdown")
    shutdown[1] = 1
    assert await ask("instance_shutdown", shutdown) == [True, None]
    assert await ask("instance_shutdown", shutdown) == [True, None]
    assert await ask("instance_info", information) == [True, {}]
    assert host.left(".intent") == []


async def test_a_migration_as_a_master_has_it(host: hosts.Host, ask: Callable[..., Any]) -> None:
    async with hosts.host(host.recorded) as target:
        both = [h.layout.config_dir / "file-storage-paths" for h in (host, target)]
        both[1].write_text("".join(path.read_text() for path in both))
        there = asker(target)
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]

        def sent(name: str) -> list[Any]:
            body = recorded(host, name)
            for argument in body:
                if isinstance(argument, dict) and "hvparams" in argument:
                    argument["hvparams"]["migration_port"] = port
            return body

        assert await ask("instance_start", sent("instance_start")) == [True, None]
        assert await ask("instance_migratable", sent("instance_migratable")) == [True, None]
        went, runtime = await ask("migration_info", sent("migration_info"))
        assert went
        instance, _, _ = sent("accept_instance")
        # The recorded address is one of this machine's, as all that begin with 127 are.
        address = sent("accept_instance")[2]
        assert await there("accept_instance", [instance, runtime, address]) == [True, None]
        assert await ask("instance_migrate", sent("instance_migrate")) == [True, None]
        async with asyncio.timeout(30):
            while True:
                went, told = await ask(
                    "instance_get_migration_status", sent("instance_get_migration_status")
                )
                assert went
                if told["status"] != "active":
                    break
                await asyncio.sleep(0.02)
        assert told["status"] == "completed"
        assert told["total_ram"] > 0 < told["transferred_ram"]
        ended = "instance_finalize_migration_src"
        assert await ask(ended, sent(ended)) == [True, None]
        body = sent("instance_finalize_migration_dst")
        body[1] = runtime
        assert await there("instance_finalize_migration_dst", body) == [True, None]
        every = recorded(host, "all_instances_info")
        assert await ask("all_instances_info", every) == [True, {}]
        assert (await there("all_instances_info", every))[1].keys() == {"k1.example.com"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "../../etc/passwd"}, "is not the name of an instance"),
        ({"name": "a/b"}, "is not the name of an instance"),
        ({"name": ""}, "is not the name of an instance"),
        ({"hypervisor": "xen-pvm"}, "this node runs kvm, not xen-pvm"),
        ({"hvparams": {"kvm_path": 7}}, "the argument instance is wrong"),
        ({"hvparams": {"boot_order": "luck"}}, "boot_order must be one of"),
        ({"beparams": {"maxmem": 1, "minmem": 2}}, "backend parameters"),
        ({"uuid": None}, "the argument instance is wrong"),
        ({"nics": [{"mac": "no", "uuid": "x"}]}, "no right uuid or address"),
        ({"disks_info": [{"dev_type": "drbd"}]}, "this is no disk"),
        (
            {"disks_info": [{"dev_type": "drbd", "logical_id": [], "size": 1, "uuid": "d"}]},
            "does not do DRBD yet",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused_and_nothing_changes(
    host: hosts.Host, ask: Callable[..., Any], change: dict[str, Any], words: str
) -> None:
    body = recorded(host, "instance_start")
    body[0] |= change
    went, told = await ask("instance_start", body)
    assert not went
    assert words in told
    assert host.left() == []
    assert not list(host.where.root.glob("*/*"))


async def test_parameters_that_this_node_cannot_do_are_all_named(
    host: hosts.Host, ask: Callable[..., Any]
) -> None:
    kind, hvparams = recorded(host, "hypervisor_validate_params")
    wrong = {
        "machine_version": "pc-i440fx-99.0",
        "vnc_bind_address": "nosuchif0",
        "kernel_path": "/nowhere/vmlinuz",
        "security_model": "user",
        "security_domain": "nosuchuser",
        "disk_cache": "sometimes",
    }
    went, told = await ask("hypervisor_validate_params", [kind, hvparams | wrong])
    assert not went
    for words in ("99.0", "nosuchif0", "/nowhere/vmlinuz", "nosuchuser", "disk_cache must"):
        assert words in told
    went, told = await ask("hypervisor_validate_params", [kind, hvparams | {"magic": 1}])
    assert not went
    assert "magic" in told


async def test_a_console_is_told_in_ganetis_words(
    host: hosts.Host, ask: Callable[..., Any]
) -> None:
    body = host.describe()
    about = {
        "instance": body,
        "node": {"name": "node1.example.com", "ndparams": {}},
        "group": {"ndparams": {"ssh_port": 2222}},
        "hvParams": body["hvparams"],
        "beParams": body["beparams"],
    }
    went, told = await ask("instance_console_info", [{"k1.example.com": about}])
    assert went
    console = told["k1.example.com"]
    assert console["kind"] == "ssh"
    assert console["port"] == 2222
    assert console["command"][-1] == f"UNIX-CONNECT:{host.where.socket(body['name'], '.serial')}"
    about["hvParams"] = body["hvparams"] | {
        "serial_console": False,
        "vnc_bind_address": "192.0.2.7",
    }
    went, told = await ask("instance_console_info", [{"k1.example.com": about}])
    assert told["k1.example.com"] == {
        "instance": "k1.example.com",
        "kind": "vnc",
        "host": "192.0.2.7",
        "port": 32104,
        "display": 26204,
    }
    assert await ask("instance_console_info", [{"k1.example.com": {}}]) == [
        False,
        "k1.example.com: what is needed for a console is missing",
    ]
