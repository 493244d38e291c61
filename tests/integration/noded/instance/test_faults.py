"""Qemus that die, hang or lie, and names that are none: clear words, and nothing left behind."""

import asyncio
import inspect
import os
import shutil
import signal
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import guests, hosts
from pyganeti.base import errors
from pyganeti.model import instance as instances
from pyganeti.noded import app, calls, settings
from pyganeti.noded.instance import info, start, stop
from pyganeti.noded.qemu import monitor, process
from pyganeti.noded.rpc import dispatch
from pyganeti.noded.rpc import instance as instance_calls
from pyganeti.wire import noderpc

pytestmark = [pytest.mark.qemu, pytest.mark.root]

NAME = "k1.example.com"
_REAL = "/usr/bin/qemu-system-x86_64"


def program(host: hosts.Host, what: str) -> str:
    """Make a qemu that says what it can do as any other, and then behaves as told."""
    path = host.layout.root / "qemu"
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *"-machine none"*) exec {_REAL} "$@" ;; esac\n'
        f'while [ "$1" != -pidfile ]; do set -- "$@" "$1"; shift; done; pid=$2\n{what}\n'
    )
    path.chmod(0o755)
    return str(path)


_ENDS = {
    "says why": ("echo the dog ate it >&2; exit 1", r"did not start \(status 1\): the dog ate it"),
    "says nothing": ("exit 3", r"did not start \(status 3\): it says nothing"),
    "is killed": ("kill -SEGV $$", r"did not start \(killed by SIGSEGV\)"),
    "is not there although all was well": ("exit 0", "ended at once"),
    "leaves another's pid": ("echo 1 >$pid; exit 0", "ended at once"),
    "leaves no number": ("echo one >$pid; exit 0", "ended at once"),
    "talks without end": ("exec yes", r"did not start within 0\.5 s: y"),
}


@pytest.mark.parametrize("how", _ENDS)
async def test_a_qemu_that_ends_at_once(
    host: hosts.Host, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, words = _ENDS[how]
    if "end" in how.split():
        monkeypatch.setattr(process, "START_LIMIT", 0.5)
    instance = host.instance(kvm_path=program(host, what))
    with pytest.raises(errors.Failure, match=words):
        await start.start(host.parts, instance, paused=False, trail=[])
    assert host.left(".intent") == []
    assert host.taps() == []
    assert host.running() is None


async def test_a_qemu_that_does_not_come_up_is_killed(
    host: hosts.Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "START_LIMIT", 0.3)
    note = host.layout.root / "note"
    instance = host.instance(kvm_path=program(host, f"echo $$ >{note}; exec sleep 1000"))
    with pytest.raises(errors.Failure, match=r"did not start within 0\.3 s"):
        await start.start(host.parts, instance, paused=False, trail=[])
    assert not (Path("/proc") / note.read_text().strip()).exists()
    assert host.left(".intent") == []
    assert host.taps() == []


_HANGS = f'{_REAL} "$@"; kill -STOP $(cat $pid)'


async def test_a_qemu_that_does_not_talk_is_killed_and_all_is_undone(
    host: hosts.Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "PATIENCE", 0.3)
    instance = host.instance(kvm_path=program(host, _HANGS))
    with pytest.raises(errors.Unavailable, match="does not greet"):
        await start.start(host.parts, instance, paused=False, trail=[])
    assert host.running() is None
    assert host.left(".intent") == []
    assert host.taps() == []


async def test_a_qemu_that_dies_while_it_is_asked_leaves_nothing(host: hosts.Host) -> None:
    dies = f'{_REAL} "$@"; kill -KILL $(cat $pid)'
    instance = host.instance(kvm_path=program(host, dies))
    with pytest.raises(errors.Failure):
        await start.start(host.parts, instance, paused=False, trail=[])
    assert host.running() is None
    assert host.left(".intent") == []
    assert host.taps() == []


async def test_one_that_hangs_later_is_listed_stopped_and_started_again(
    host: hosts.Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = host.instance(sector=guests.polite(), user_shutdown=True)
    await start.start(host.parts, instance, paused=False, trail=[])
    running = host.running()
    assert running is not None
    os.kill(running.pid, signal.SIGSTOP)
    assert (await info.every(host.parts))[NAME]["state"] == info.State.RUNNING
    with monkeypatch.context() as patched:
        patched.setattr(monitor, "PATIENCE", 0.3)
        # It cannot be known whether a guest runs in there, so it is left alone.
        with pytest.raises(errors.Unavailable, match="does not greet"):
            await start.start(host.parts, instance, paused=False, trail=[])
    assert host.running() == running
    await stop.reboot_hard(host.parts, instance, 0, [])
    again = host.running()
    assert again is not None
    assert again.pid != running.pid


async def test_a_start_that_is_given_up_is_undone(host: hosts.Host) -> None:
    instance = host.instance(kvm_path=program(host, "exec sleep 1000"))
    starting = asyncio.ensure_future(start.start(host.parts, instance, paused=False, trail=[]))
    async with asyncio.timeout(10):
        while not host.taps():  # noqa: ASYNC110 - the kernel wakes nobody
            await asyncio.sleep(0.005)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert host.left(".intent") == []
    assert host.taps() == []


async def test_where_nothing_can_be_written_nothing_starts(host: hosts.Host) -> None:
    instance = host.instance()
    host.where.runtimes.parent.mkdir(parents=True)
    host.where.runtimes.write_text("a file where a directory should be")
    with pytest.raises(errors.Unavailable, match="directories of instances"):
        await start.start(host.parts, instance, paused=False, trail=[])
    assert host.running() is None
    assert host.taps() == []


def _about_an_instance() -> Iterator[calls.Call]:
    for call in instance_calls.CALLS:
        hints = typing.get_type_hints(call.handler)
        if instances.Instance in hints.values() or "name" in hints:
            yield call


def _arguments(call: calls.Call, body: dict[str, Any]) -> list[Any]:
    """Return arguments that are all right but for the instance."""
    hints = typing.get_type_hints(call.handler)
    plain = {bool: True, int: 1, float: 1.0, str: "kvm", dict[str, Any]: {}, calls.Trail: []}
    names = list(inspect.signature(call.handler).parameters)[1:]
    return [
        body if hints[name] is instances.Instance
        else body["name"] if name == "name"
        else plain.get(hints[name])
        for name in names
    ]  # fmt: skip


@pytest.mark.parametrize("call", list(_about_an_instance()), ids=lambda call: call.name)
async def test_a_name_that_is_none_is_refused_by_every_call(
    host: hosts.Host, call: calls.Call
) -> None:
    chosen = settings.Settings(
        layout=host.layout, bind="127.0.0.1", port=0, certificate=None, key=None
    )
    node = app.make_node(chosen, lambda: None)
    node.hypervisor = host.parts
    dispatcher = dispatch.Dispatcher(calls.Table([instance_calls.CALLS]), node)
    body = host.describe()
    before = sorted(host.layout.root.rglob("*"))
    for name in ("../../../tmp/x", "a/b", "..", ".", "", "-x", "a\0b", "n" * 300):
        sent = noderpc.encode_arguments(_arguments(call, body | {"name": name}))
        answer = await dispatcher.answer(call.name, sent, caller="m", is_wanted=lambda: True)
        with pytest.raises(errors.Failure, match="is not the name of an instance"):
            noderpc.decode_answer(answer)
    assert sorted(host.layout.root.rglob("*")) == before


@pytest.mark.parametrize("what", ["gone", "not executable", "a directory"])
async def test_a_qemu_that_cannot_be_run_is_said(host: hosts.Host, what: str) -> None:
    path = host.layout.root / "qemu"
    if what == "a directory":
        path.mkdir()
    elif what == "not executable":
        shutil.copy(_REAL, path)
        path.chmod(0o644)
    with pytest.raises(errors.Unavailable, match=str(path)):
        await start.start(host.parts, host.instance(kvm_path=str(path)), paused=False, trail=[])
    assert host.left(".intent") == []


async def test_a_qemu_that_goes_after_it_was_asked_is_said(host: hosts.Host) -> None:
    instance = host.instance(kvm_path=program(host, "exit 0"))
    await host.parts.known.of(instance.hvparams.kvm_path)
    Path(instance.hvparams.kvm_path).unlink()  # noqa: ASYNC240 - a test may block
    with pytest.raises(errors.Unavailable, match="no qemu at"):
        await start.start(host.parts, instance, paused=False, trail=[])
    assert host.left(".intent") == []
