"""A real guest moves between two nodes on this machine, each with a root of its own."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from lab import guests, hosts
from pyganeti.base import errors
from pyganeti.model import instance as instances
from pyganeti.model import intent as intents
from pyganeti.noded.instance import migrate, start
from pyganeti.noded.qemu import monitor
from pyganeti.wire import intentfile

pytestmark = [pytest.mark.qemu, pytest.mark.root]

NAME = "k1.example.com"
HERE = "127.0.0.1"


@pytest_asyncio.fixture
async def target(host: hosts.Host) -> AsyncIterator[hosts.Host]:
    async with hosts.host(host.recorded) as other:
        allowed = [h.layout.config_dir / "file-storage-paths" for h in (host, other)]
        allowed[1].write_text("".join(path.read_text() for path in allowed))
        yield other


def moving(host: hosts.Host, **hvparams: Any) -> instances.Instance:
    with contextlib.closing(socket.create_server((HERE, 0))) as free:
        port = free.getsockname()[1]
    return host.instance(sector=guests.polite(), migration_port=port, **hvparams)


async def status(host: hosts.Host) -> str:
    async with monitor.open(host.where.socket(NAME, ".qmp")) as talk:
        return await talk.status()


async def over(host: hosts.Host, instance: instances.Instance) -> str:
    async with asyncio.timeout(30):
        while (told := await migrate.progress(host.parts, instance))["status"] == "active":  # noqa: ASYNC110 - as masters ask
            await asyncio.sleep(0.02)
    return str(told["status"])


@pytest.mark.parametrize("caps", ["", "auto-converge", "postcopy-ram"])
async def test_a_running_guest_moves_and_runs_on(
    host: hosts.Host, target: hosts.Host, caps: str
) -> None:
    instance = moving(host, migration_caps=caps)
    await start.start(host.parts, instance, paused=False, trail=[])
    await migrate.check(host.parts, instance)
    told = await migrate.information(host.parts, instance)
    await migrate.accept(target.parts, instance, told, HERE)
    assert await status(target) == "inmigrate"
    await migrate.send(host.parts, instance, HERE, live=True)
    assert await over(host, instance) == "completed"
    written = intentfile.decode((host.where.control / f"{NAME}.intent").read_bytes())
    assert written.kind is intents.IntentKind.MIGRATE
    await migrate.finish_source(host.parts, instance, success=True)
    await migrate.finish_target(target.parts, instance, success=True)
    assert host.running() is None
    assert host.left(".intent") == []
    assert await status(target) == "running"
    there = target.running()
    assert there is not None
    assert str(host.layout.root / "var") not in " ".join(there.line)


async def test_a_guest_that_cannot_leave_runs_on_where_it_is(
    host: hosts.Host, target: hosts.Host
) -> None:
    instance = moving(host)
    await start.start(host.parts, instance, paused=False, trail=[])
    told = await migrate.information(host.parts, instance)
    await migrate.accept(target.parts, instance, told, HERE)
    await migrate.finish_target(target.parts, instance, success=False)
    assert target.running() is None
    assert target.left() == []
    await migrate.send(host.parts, instance, HERE, live=True)
    assert await over(host, instance) == "failed"
    await migrate.finish_source(host.parts, instance, success=False)
    assert await status(host) == "running"
    assert not (host.where.control / f"{NAME}.intent").exists()


async def test_an_attempt_that_was_cut_off_can_be_made_again(
    host: hosts.Host, target: hosts.Host
) -> None:
    instance = moving(host)
    await start.start(host.parts, instance, paused=False, trail=[])
    told = await migrate.information(host.parts, instance)
    await migrate.accept(target.parts, instance, told, HERE)
    await migrate.accept(target.parts, instance, told, HERE)
    assert await status(target) == "inmigrate"


async def test_a_guest_is_not_accepted_where_it_runs(host: hosts.Host) -> None:
    instance = moving(host)
    await start.start(host.parts, instance, paused=False, trail=[])
    told = await migrate.information(host.parts, instance)
    with pytest.raises(errors.Failure, match="runs on this node already"):
        await migrate.accept(host.parts, instance, told, HERE)
    assert await status(host) == "running"


async def test_ganetis_own_runtime_file_is_accepted(target: hosts.Host) -> None:
    golden = Path(__file__).parents[3] / "golden/rpc/accept_instance.json"
    body, told, _ = json.loads(golden.read_text())[0]
    described = target.describe(sector=guests.polite())
    body["disks_info"] = described["disks_info"]
    instance = msgspec.convert(body, instances.Instance)
    await migrate.accept(target.parts, instance, told, HERE)
    assert await status(target) == "inmigrate"
    running = target.running()
    assert running is not None
    assert "addr=0xd" in " ".join(running.line)


async def test_what_is_no_runtime_file_is_refused(target: hosts.Host) -> None:
    with pytest.raises(errors.Damaged):
        await migrate.accept(target.parts, moving(target), "[1, 2]", HERE)
    assert target.left() == []
