"""What outlives an instance's runs goes with the instance, and follows its name."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from lab import guests, hosts
from pyganeti.base import errors
from pyganeti.model import intent as intents
from pyganeti.noded import app, calls, settings
from pyganeti.noded.instance import removal, start, stop
from pyganeti.noded.rpc import dispatch
from pyganeti.noded.rpc import hooks as hook_calls
from pyganeti.wire import intentfile

pytestmark = [pytest.mark.qemu, pytest.mark.root]

NAME = "k1.example.com"
NEW = "k2.example.com"


def remember(host: hosts.Host, name: str = NAME) -> list[Path]:
    """Have there what UEFI, a TPM and we would have left; return where."""
    where = host.where
    left = [where.variables(name), where.tpms / name / "tpm2-00.permall"]
    left += [where.reasons / name, announce(host, name)]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    left[0].write_text(f"variables of {name}")
    return left


def announce(host: hosts.Host, name: str, deadline: float = 0.0, pid: int = 2**30) -> Path:
    now = time.time()
    written = intents.Intent(
        kind=intents.IntentKind.KILL, pid=pid, written=now, deadline=deadline or now + 60
    )
    host.where.control.mkdir(parents=True, exist_ok=True)
    path = host.where.control / f"{name}.intent"
    path.write_bytes(intentfile.encode(written))
    return path


async def run_hooks(host: hosts.Host, path: str, phase: str) -> Any:
    chosen = settings.Settings(
        layout=host.layout, bind="127.0.0.1", port=0, certificate=None, key=None
    )
    node = app.make_node(chosen, lambda: None)
    node.hypervisor = host.parts
    dispatcher = dispatch.Dispatcher(calls.Table([hook_calls.CALLS]), node)
    recorded = Path(__file__).parents[3] / "golden/rpc/hooks_runner.json"
    environment = json.loads(recorded.read_text())[0][2]
    body = json.dumps([path, phase, environment]).encode()
    return json.loads(
        await dispatcher.answer("hooks_runner", body, caller="m", is_wanted=lambda: True)
    )


async def test_a_removed_instance_is_forgotten_once_it_is(host: hosts.Host) -> None:
    left = remember(host)
    for step in (("instance-remove", "pre"), ("instance-stop", "post")):
        assert (await run_hooks(host, *step))[0]
        assert all(path.exists() for path in left)
    assert (await run_hooks(host, "instance-remove", "post"))[0]
    assert not [path for path in left if path.exists()]
    assert host.left() == []


async def test_one_that_runs_is_not_forgotten_whatever_hooks_say(host: hosts.Host) -> None:
    left = remember(host)
    await start.start(host.parts, host.instance(sector=guests.polite()), paused=False, trail=[])
    await removal.forget(host.parts, NAME)
    assert left[0].exists()
    assert host.running() is not None


@pytest.mark.parametrize("name", ["../../../etc", "a/b", ""])
async def test_a_name_that_is_none_removes_nothing(host: hosts.Host, name: str) -> None:
    left = remember(host)
    await removal.forget(host.parts, name)
    with pytest.raises(errors.BadInput):
        await removal.rename(host.parts, name, NEW)
    with pytest.raises(errors.BadInput):
        await removal.rename(host.parts, NAME, name)
    assert all(path.exists() for path in left)


async def test_an_instance_finds_what_it_had_under_its_old_name(host: hosts.Host) -> None:
    remember(host)
    for _ in range(2):
        await removal.rename(host.parts, NAME, NEW)
        assert host.where.variables(NEW).read_text() == f"variables of {NAME}"
        assert (host.where.tpms / NEW / "tpm2-00.permall").exists()
        assert not host.where.variables(NAME).exists()
        assert not (host.where.tpms / NAME).exists()
        assert not (host.where.control / f"{NAME}.intent").exists()


async def test_one_that_runs_is_not_renamed(host: hosts.Host) -> None:
    await start.start(host.parts, host.instance(sector=guests.polite()), paused=False, trail=[])
    with pytest.raises(errors.BadInput, match="runs and cannot be renamed"):
        await removal.rename(host.parts, NAME, NEW)


async def test_old_announcements_go_and_those_that_count_stay(host: hosts.Host) -> None:
    now = time.time()
    instance = host.instance(sector=guests.stubborn(), acpi=False)
    await start.start(host.parts, instance, paused=False, trail=[])
    running = host.running()
    assert running is not None
    day = 24 * 3600.0
    kept = [
        announce(host, "fresh", now + 60),
        announce(host, "over", now - day / 2),
        announce(host, NAME, now - 2 * day, pid=running.pid),
    ]
    old = [announce(host, "old", now - 2 * day), host.where.control / "garbage.intent"]
    keys = [host.where.control / "old.tls", host.where.chroot("old") / "tls"]
    for directory in keys:
        directory.mkdir(parents=True)
        (directory / "server-key.pem").touch()
        os.utime(directory, (now - 100, now - 100))
    old[1].write_text("no intent")
    os.utime(old[1], (now - 2 * day, now - 2 * day))
    removal.tidy(host.where)
    assert all(path.exists() for path in kept)
    assert not [path for path in (*old, *keys) if path.exists()]
    host.where.chroot("old").rmdir()
    await stop.stop(host.parts, instance, 0, [])
    removal.tidy(host.where, now + 3 * day)
    assert host.left() == []
