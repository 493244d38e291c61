"""A guest's networks over the node RPC: real qemus, real taps, and nothing left of either."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import guests, hosts, nodedaemons
from pyganeti.base import errors
from pyganeti.noded.qemu import process

pytestmark = [pytest.mark.qemu, pytest.mark.root]

NAME = "k1.example.com"
_NO = False


async def _with_noded(
    host: hosts.Host, scenario: Callable[[nodedaemons.Noded, dict[str, Any]], None]
) -> None:
    body = host.describe(sector=guests.polite(), user_shutdown=False)

    def work() -> None:
        with nodedaemons.Noded(host.layout.root) as noded:
            scenario(noded, body)

    await asyncio.to_thread(work)


def _nothing_is_left(host: hosts.Host) -> bool:
    nics = host.layout.run_dir / "kvm-hypervisor/nic"
    return not host.taps() and not host.running() and not list(nics.glob("*"))


@pytest.mark.parametrize("call", ["instance_start", "accept_instance"])
async def test_a_missing_bridge_is_said_before_qemu_starts(host: hosts.Host, call: str) -> None:
    (host.layout.config_dir / "kvm-vif-bridge").unlink()

    def scenario(noded: nodedaemons.Noded, body: dict[str, Any]) -> None:
        body["nics"][0]["nicparams"] |= {"mode": "bridged", "link": "nosuch0"}
        program = host.layout.root / "qemu"
        told = host.layout.root / "qemu-ran"
        program.write_text(f'#!/bin/sh\necho "$@" >>{told}\nexec qemu-system-x86_64 "$@"\n')
        program.chmod(0o755)
        body["hvparams"]["kvm_path"] = str(program)
        arguments = [body, _NO, []]
        if call == "accept_instance":
            arguments = [body, _information(noded, host), "127.0.0.1"]
        with pytest.raises(errors.Refused, match="Missing bridges nosuch0"):
            noded.call(call, *arguments)
        ran = told.read_text() if told.exists() else ""
        assert "-name" not in ran, "only asked for what it can do, if at all"
        assert _nothing_is_left(host)
        assert noded.call("instance_list", ["kvm"], {"kvm": {}}) == []

    await _with_noded(host, scenario)


def _information(noded: nodedaemons.Noded, host: hosts.Host) -> str:
    """Return what a source tells of a guest that runs there, on a bridge that is nowhere here."""
    (host.layout.config_dir / "kvm-vif-bridge").write_text("#!/bin/sh\n")
    (host.layout.config_dir / "kvm-vif-bridge").chmod(0o755)
    body = host.describe(sector=guests.polite(), user_shutdown=False)
    noded.call("instance_start", body, _NO, [])
    told = str(noded.call("migration_info", body))
    noded.call("instance_shutdown", body, 0, [])
    (host.layout.config_dir / "kvm-vif-bridge").unlink()
    command, nics, *rest = json.loads(told)
    nics[0]["nicparams"] |= {"mode": "bridged", "link": "nosuch0"}
    return json.dumps([command, nics, *rest])


async def test_what_a_crashed_guest_leaves_goes_by_itself(host: hosts.Host) -> None:
    told = host.layout.root / "told"
    script = host.layout.config_dir / "kvm-ifdown-custom"
    script.write_text(f'#!/bin/sh\necho "$INSTANCE $ACTION" >>{told}\n')
    script.chmod(0o755)

    def scenario(noded: nodedaemons.Noded, body: dict[str, Any]) -> None:
        noded.call("instance_start", body, _NO, [])
        running = process.find(host.where, NAME)
        assert running is not None
        taps = host.taps()
        assert len(taps) == len(body["nics"])
        os.kill(running.pid, signal.SIGKILL)
        noded.wait_log("what taps left behind was removed", NAME)
        assert told.read_text() == f"{NAME} down\n" * len(taps)
        assert _nothing_is_left(host)
        noded.call("instance_start", body, _NO, [])
        noded.call("instance_shutdown", body, 0, [])
        assert _nothing_is_left(host)

    await _with_noded(host, scenario)


@pytest.mark.parametrize("script", ["echo no cable; exit 3", "sleep 0; kill -9 $$"])
async def test_a_script_that_fails_leaves_nothing(host: hosts.Host, script: str) -> None:
    def scenario(noded: nodedaemons.Noded, body: dict[str, Any]) -> None:
        up = Path(host.layout.config_dir / "kvm-vif-bridge")
        up.write_text(f"#!/bin/sh\n{script}\n")
        with pytest.raises(errors.Refused, match="Failed to configure interface tap"):
            noded.call("instance_start", body, _NO, [])
        assert _nothing_is_left(host)

    await _with_noded(host, scenario)
