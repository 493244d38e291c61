"""Real qemus through start, stop and reboot, with what they leave and what they are told."""

import asyncio
import dataclasses
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from lab import guests, hosts
from pyganeti.base import errors
from pyganeti.model import intent as intents
from pyganeti.noded.instance import info, memory, pausing, reasons, rush, start, stop
from pyganeti.noded.qemu import capabilities, monitor, process, runtimefile
from pyganeti.wire import intentfile

pytestmark = [pytest.mark.qemu, pytest.mark.root]

NAME = "k1.example.com"
TRAIL: reasons.Trail = [
    ("gnt:client:gnt-instance", "start", 1),
    ("gnt:opcode:instance_startup", "job=7;index=0", 2),
]


async def begin(host: hosts.Host, sector: bytes = b"", **hvparams: Any) -> process.Running:
    instance = host.instance(NAME, sector, **hvparams)
    await start.start(host.parts, instance, paused=False, trail=TRAIL)
    running = host.running()
    assert running is not None
    return running


async def status(host: hosts.Host) -> str:
    async with monitor.open(host.where.socket(NAME, ".qmp")) as talk:
        return await talk.status()


async def say(host: hosts.Host, letter: str) -> None:
    """Give a guest a letter and wait for its echo; its serial line is one of the sockets."""
    reader, writer = await asyncio.open_unix_connection(str(host.where.socket(NAME, ".serial")))
    writer.write(letter.encode())
    async with asyncio.timeout(20):
        while letter.encode() not in await reader.read(100):
            pass
    writer.close()


def intent(host: hosts.Host) -> intents.Intent:
    return intentfile.decode((host.where.control / f"{NAME}.intent").read_bytes())


async def test_an_instance_starts_and_all_of_ganetis_files_are_there(host: hosts.Host) -> None:
    running = await begin(host, guests.polite())
    assert await status(host) == "running"
    assert (
        host.left()
        == [
            "conf/k1.example.com.runtime",
            "ctrl/k1.example.com.kvmd",
            "ctrl/k1.example.com.monitor",
            "ctrl/k1.example.com.qmp",
            "ctrl/k1.example.com.serial",
            "instance-disks/k1.example.com:0",
            "k1.example.com/0",
            "k1.example.com/0.json",
            "pid/k1.example.com",
        ]
        or "pid/k1.example.com" in host.left()
    )
    assert (running.memory, running.vcpus) == (16, 1)
    runtime = runtimefile.decode(host.where.runtime(NAME).read_bytes())
    assert runtime.nics[0].hvinfo["addr"] == "0xd"
    assert runtime.disks[0].about["hvinfo"]["addr"] == "0xc"
    assert runtime.disks[0].link == str(host.where.disk_links / f"{NAME}:0")
    assert host.kvmds == ["asked"]
    assert b"gnt:noded" in (host.where.reasons / NAME).read_bytes()


async def test_starting_one_that_runs_changes_nothing(host: hosts.Host) -> None:
    before = await begin(host)
    assert (await begin(host)).pid == before.pid


async def test_a_polite_guest_is_stopped_by_its_power_button(host: hosts.Host) -> None:
    await begin(host, guests.polite(), user_shutdown=False)
    await say(host, "z")
    began = time.monotonic()
    await stop.stop(host.parts, host.instance(sector=guests.polite()), 60, TRAIL)
    assert time.monotonic() - began < 20
    assert host.running() is None
    assert host.left(".intent") == []
    announced = intent(host)
    assert announced.kind is intents.IntentKind.POWERDOWN
    assert announced.job == 7


async def test_a_guest_that_stays_for_kvmd_is_let_go_without_it(host: hosts.Host) -> None:
    await begin(host, guests.polite(), user_shutdown=True)
    await say(host, "z")
    await say(host, guests.Command.POWER_OFF)
    async with asyncio.timeout(20):
        while await status(host) != "shutdown":  # noqa: ASYNC110 - qemu wakes nobody here
            await asyncio.sleep(0.02)
    assert (await info.one(host.parts, NAME))["state"] == info.State.SHUTDOWN
    again = await begin(host, guests.polite(), user_shutdown=True)
    assert again is not None
    assert await status(host) == "running"


async def panicked(host: hosts.Host, **hvparams: Any) -> None:
    """Have a guest panic whose qemu stays, and for which there is no kvmd."""
    await begin(host, guests.polite(), user_shutdown=True, **hvparams)
    await say(host, "z")
    await say(host, guests.Command.PANIC)
    async with asyncio.timeout(20):
        while await status(host) != "guest-panicked":  # noqa: ASYNC110 - qemu wakes nobody here
            await asyncio.sleep(0.02)


async def test_a_guest_that_panicked_is_not_there_any_more_and_can_be_started(
    host: hosts.Host,
) -> None:
    await panicked(host, kvm_extra="-device pvpanic")
    assert await info.one(host.parts, NAME) == {}
    assert await info.every(host.parts) == {}
    await begin(host, guests.polite(), user_shutdown=True)
    assert await status(host) == "running"
    assert (await info.one(host.parts, NAME))["state"] == info.State.RUNNING


async def test_a_guest_that_panicked_is_kept_where_somebody_wants_to_look_at_it(
    host: hosts.Host,
) -> None:
    await panicked(host, kvm_extra="-device pvpanic -action panic=pause")
    assert (await info.one(host.parts, NAME))["state"] == info.State.RUNNING
    await begin(host, guests.polite(), user_shutdown=True)
    assert await status(host) == "guest-panicked"


async def test_a_stubborn_guest_is_killed_when_its_time_is_up(host: hosts.Host) -> None:
    await begin(host, guests.stubborn())
    await stop.stop(host.parts, host.instance(), 1, TRAIL)
    assert host.running() is None
    assert host.left(".intent") == []
    assert intent(host).kind is intents.IntentKind.KILL


async def test_who_no_longer_waits_for_a_stop_holds_up_nobody(host: hosts.Host) -> None:
    await begin(host, guests.stubborn())
    stopping = asyncio.create_task(stop.stop(host.parts, host.instance(), 600, TRAIL))
    while not host.left(".intent"):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert await status(host) == "running"
    await stop.stop(host.parts, host.instance(), 0, TRAIL)
    assert host.running() is None
    assert intent(host).kind is intents.IntentKind.KILL


async def test_without_acpi_a_guest_is_killed_at_once(host: hosts.Host) -> None:
    await begin(host, guests.stubborn(), acpi=False)
    began = time.monotonic()
    await stop.stop(host.parts, host.instance(acpi=False), 120, TRAIL)
    assert time.monotonic() - began < 10
    assert host.running() is None


async def test_stopping_one_that_does_not_run_cleans_up_after_it(host: hosts.Host) -> None:
    running = await begin(host)
    os.kill(running.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while host.running() is not None:  # noqa: ASYNC110 - no child of ours
            await asyncio.sleep(0.01)
    await stop.stop(host.parts, host.instance(), 60, TRAIL)
    assert host.left() == []


async def test_a_hard_reboot_takes_what_is_configured_a_soft_one_what_was(
    host: hosts.Host,
) -> None:
    first = await begin(host, guests.stubborn())
    changed = host.instance(sector=guests.stubborn(), usb_mouse="tablet")
    await stop.reboot_soft(host.parts, changed, 0, TRAIL)
    second = host.running()
    assert second is not None
    assert second.pid != first.pid
    assert "usb-tablet" not in second.line
    await stop.reboot_hard(host.parts, changed, 0, TRAIL)
    third = host.running()
    assert third is not None
    assert "usb-tablet" in third.line
    assert await status(host) == "running"


async def test_what_does_not_run_cannot_be_rebooted(host: hosts.Host) -> None:
    with pytest.raises(errors.BadInput, match=r"Cannot reboot instance 'k1\.example\.com'"):
        await stop.reboot_hard(host.parts, host.instance(), 10, TRAIL)


async def test_a_failed_start_says_qemus_words_and_leaves_nothing(host: hosts.Host) -> None:
    with pytest.raises(errors.Failure, match="no-such-thing"):
        await begin(host, kvm_extra="-device no-such-thing")
    assert host.left() == []
    assert host.running() is None
    assert not host.taps()


async def test_a_qemu_that_is_missing_is_said(host: hosts.Host) -> None:
    with pytest.raises(errors.Unavailable, match="no qemu at /nowhere/kvm"):
        await begin(host, kvm_path="/nowhere/kvm")
    assert host.left() == []


async def test_a_program_that_is_no_qemu_is_said(host: hosts.Host) -> None:
    with pytest.raises(errors.Unavailable, match="/bin/false failed"):
        await begin(host, kvm_path="/bin/false")


async def test_a_disk_that_is_not_there_is_said_before_qemu_starts(host: hosts.Host) -> None:
    instance = host.instance()
    os.unlink(instance.disks_info[0]["logical_id"][1])  # noqa: PTH108 - a test may block
    with pytest.raises(errors.Failure, match="disk"):
        await start.start(host.parts, instance, paused=False, trail=TRAIL)
    assert host.left() == []


async def test_a_failure_after_qemu_came_up_kills_it(host: hosts.Host) -> None:
    with pytest.raises(errors.BadInput, match="cpu_mask 8000"):
        await begin(host, cpu_mask="8000")
    assert host.running() is None
    assert host.left(".intent") == []
    assert intent(host).kind is intents.IntentKind.KILL


async def test_a_start_that_was_cut_off_is_begun_anew(host: hosts.Host) -> None:
    instance = host.instance(sector=guests.polite())
    await start.start(host.parts, instance, paused=True, trail=TRAIL)
    cut = host.running()
    assert cut is not None
    assert await status(host) == "prelaunch"
    again = await begin(host, guests.polite())
    assert again.pid != cut.pid
    assert await status(host) == "running"


async def test_a_cut_off_qemu_without_a_pid_file_is_ended_before_a_start(
    host: hosts.Host,
) -> None:
    instance = host.instance(sector=guests.polite())
    await start.start(host.parts, instance, paused=True, trail=TRAIL)
    cut = host.running()
    assert cut is not None
    host.where.pid_file(NAME).unlink()
    await begin(host, guests.polite())
    assert process.look(cut.pid, NAME) is None


async def test_a_guest_that_runs_without_a_pid_file_is_not_started_twice(host: hosts.Host) -> None:
    running = await begin(host, guests.polite())
    host.where.pid_file(NAME).unlink()
    with pytest.raises(errors.Failure, match=f"may run as process {running.pid}"):
        await begin(host, guests.polite())
    assert process.look(running.pid, NAME) is not None
    host.where.pid_file(NAME).write_text(f"{running.pid}\n")


async def test_taps_are_gone_after_a_crash(host: hosts.Host) -> None:
    running = await begin(host)
    assert host.taps()
    os.kill(running.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while host.taps():  # noqa: ASYNC110 - the kernel wakes nobody
            await asyncio.sleep(0.01)


async def test_a_pause_is_announced_and_ends(host: hosts.Host) -> None:
    await begin(host)
    await pausing.pause(host.parts, NAME, TRAIL)
    assert await status(host) == "paused"
    assert intent(host).kind is intents.IntentKind.PAUSE
    assert (await info.one(host.parts, NAME))["state"] == info.State.RUNNING
    await pausing.resume(host.parts, NAME)
    assert await status(host) == "running"


async def test_a_marker_without_a_qemu_is_a_user_shutdown(host: hosts.Host) -> None:
    assert await info.one(host.parts, NAME) == {}
    await begin(host)
    stopped = {"memory": 0, "vcpus": 0, "state": 1, "time": 0}
    running = host.running()
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    host.where.marker(NAME).touch()
    async with asyncio.timeout(10):
        while (told := await info.every(host.parts))[NAME] != stopped:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert told == {NAME: stopped}
    await begin(host)
    assert not host.where.marker(NAME).exists()
    assert (await info.every(host.parts))[NAME] == stopped | {
        "memory": 16,
        "vcpus": 1,
        "state": 0,
    }
    assert await info.running(host.parts) == [NAME]


async def test_a_qemu_that_hangs_is_listed_and_can_be_stopped(host: hosts.Host) -> None:
    running = await begin(host)
    os.kill(running.pid, signal.SIGSTOP)
    assert (await info.one(host.parts, NAME))["memory"] == 16
    await stop.stop(host.parts, host.instance(), 1, TRAIL)
    assert host.running() is None


async def test_the_balloon_of_one_that_does_not_run_is_nothing(host: hosts.Host) -> None:
    await memory.balloon(host.parts, NAME, 8)
    await begin(host, user_shutdown=False)
    assert not (host.where.balloons / NAME).exists()
    await memory.balloon(host.parts, NAME, 8)
    with pytest.raises(errors.BadInput, match="cannot have 0 MiB"):
        await memory.balloon(host.parts, NAME, 0)
    # A list now asks this qemu, whose guest has no driver and keeps its memory.
    assert (host.where.balloons / NAME).exists()
    assert (await info.every(host.parts))[NAME]["memory"] == 16


async def test_a_stale_marker_beside_a_running_guest_is_not_believed(host: hosts.Host) -> None:
    await begin(host, user_shutdown=False)
    host.where.marker(NAME).touch()
    assert (await info.every(host.parts))[NAME]["state"] == info.State.RUNNING


async def test_ten_starts_at_once_are_ten_instances(host: hosts.Host) -> None:
    wanted = []
    for number in range(10):
        body = host.instance(f"i{number}.example.com", guests.idle())
        wanted.append(start.start(host.parts, body, paused=False, trail=TRAIL))
    await asyncio.gather(*wanted)
    found = await info.every(host.parts)
    assert len(found) == 10
    assert {one["state"] for one in found.values()} == {0}


class Rush(rush.Rush):
    """One that tells when a guest begins to wait."""

    def __init__(self) -> None:
        super().__init__(0, patience=60)
        self.waited_for = asyncio.Event()

    async def calm(self) -> None:
        self.waited_for.set()
        await super().calm()


async def test_in_a_rush_a_guest_runs_when_the_others_qemus_are_up(host: hosts.Host) -> None:
    waiting = Rush()
    parts = dataclasses.replace(host.parts, rush=waiting)
    with waiting.coming_up():
        instance = host.instance(NAME, guests.idle())
        starting = asyncio.create_task(start.start(parts, instance, paused=False, trail=TRAIL))
        async with asyncio.timeout(20):
            await waiting.waited_for.wait()
        # By kvmd's socket: the start has the other one, and waits on it.
        async with monitor.open(host.where.socket(NAME, ".kvmd")) as talk:
            assert await talk.status() == "prelaunch"
        assert not starting.done()
    await starting
    assert await status(host) == "running"


async def test_a_start_that_is_given_up_in_a_rush_is_undone(host: hosts.Host) -> None:
    waiting = Rush()
    parts = dataclasses.replace(host.parts, rush=waiting)
    with waiting.coming_up():
        instance = host.instance(NAME, guests.idle())
        starting = asyncio.create_task(start.start(parts, instance, paused=False, trail=TRAIL))
        async with asyncio.timeout(20):
            await waiting.waited_for.wait()
        assert host.running() is not None
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert host.running() is None
    assert host.left(".intent") == []


@pytest.mark.skipif(not shutil.which("swtpm"), reason="needs swtpm")
async def test_a_tpm_comes_and_goes_with_its_instance(host: hosts.Host) -> None:
    for _ in range(2):
        running = await begin(host, guests.stubborn(), tpm="2.0", machine_version="q35")
        assert "emulator,id=tpm0,chardev=tpm" in running.line
        async with monitor.open(host.where.socket(NAME, ".qmp")) as talk:
            assert await talk.execute("query-tpm")
        await stop.stop(host.parts, host.instance(acpi=False), 0, TRAIL)
        assert host.left(".intent") == []
    assert list((host.where.tpms / NAME).iterdir())


async def test_uefi_variables_outlive_a_run(host: hosts.Host) -> None:
    known = await host.parts.known.of("/usr/bin/qemu-system-x86_64")
    if not known.firmware:
        pytest.skip("needs OVMF (Debian package ovmf)")
    await begin(host, firmware="uefi", beparams={"maxmem": 128, "minmem": 128})
    variables = host.where.variables(NAME)
    before = variables.stat().st_ino
    await stop.stop(host.parts, host.instance(acpi=False), 0, TRAIL)
    await begin(host, firmware="uefi", beparams={"maxmem": 128, "minmem": 128})
    assert variables.stat().st_ino == before


async def test_a_user_of_the_pool_is_given_out_and_comes_back(host: hosts.Host) -> None:
    pool = host.layout.ssconf("uid_pool")
    pool.parent.mkdir(parents=True, exist_ok=True)
    pool.write_text("45001-45001\n")
    first = await begin(host, security_model="pool", use_chroot=True)
    assert os.stat(f"/proc/{first.pid}").st_uid == 45001  # noqa: PTH116 - a test may block
    second = host.instance("k2.example.com", security_model="pool")
    with pytest.raises(errors.Exhausted, match="in use"):
        await start.start(host.parts, second, paused=False, trail=TRAIL)
    await stop.stop(host.parts, host.instance(acpi=False), 0, TRAIL)
    assert host.left(".intent") == []
    await start.start(host.parts, second, paused=False, trail=TRAIL)
    assert host.running("k2.example.com")


async def test_processors_are_bound(host: hosts.Host) -> None:
    running = await begin(host, cpu_mask="0")
    for thread in os.listdir(f"/proc/{running.pid}/task"):  # noqa: PTH208 - numbers
        assert os.sched_getaffinity(int(thread)) == {0}


async def test_a_vnc_password_is_set_before_the_guest_runs(host: hosts.Host) -> None:
    password = host.layout.root / "password"
    password.write_text("secret\n")
    running = await begin(
        host,
        vnc_bind_address=str(host.layout.root),
        vnc_password_file=str(password),
    )
    assert (host.layout.root / f"{NAME}.vnc").exists()
    assert "secret" not in " ".join(running.line)


async def test_capabilities_are_asked_once_until_the_binary_changes(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text('#!/bin/sh\nexec /usr/bin/qemu-system-x86_64 "$@"\n')
    program.chmod(0o755)
    known = capabilities.Known()
    first, second = await asyncio.gather(known.of(str(program)), known.of(str(program)))
    assert first is second
    assert first.can_hold
    assert first.version >= (5, 0, 0)
    os.utime(program, ns=(1, 1))
    assert await known.of(str(program)) is not first
