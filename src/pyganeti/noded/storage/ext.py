"""Disks that a provider's scripts make and attach (Ganeti's external storage interface).

A logical id is the provider's name and the volume's. Whether a volume is there only its ``attach``
script can tell, which is harmless to run again; so looking is attaching, as the interface has it.
Its stdout is the device's path, then lines of ``hypervisor:uri``; one of them may be missing.

Scripts see a path and what the interface promises, nothing else of this daemon's environment.
What they write goes to a log of their own, whose end is shown when they fail. They are not killed
when this daemon dies: half a volume is for the provider to clean up, by ``remove``.
"""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from pyganeti.base import errors, files, log, runner
from pyganeti.model import disk as disks
from pyganeti.noded.storage import devices, driver, lvm, opening, programs, providers

_LOG = log.get(__name__)
_TIMEOUT: Final = 3600.0
_SHOWN_LINES: Final = 20
_SHOWN_BYTES: Final = 8192
_LOG_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Ext(driver.Base):
    """The driver of provided volumes."""

    template: ClassVar = disks.Template.EXT

    def __init__(
        self,
        tools: programs.Programs,
        *,
        search: Sequence[Path],
        logs: Path,
    ) -> None:
        self._environment = tools.environment
        self._search = search
        self._logs = logs

    async def create(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """Have the volume made."""
        self.refuse_exclusive(exclusive=exclusive)
        await self._act("create", disk, VOL_SIZE=str(disk.size))

    async def find(self, disk: disks.Disk) -> driver.Device | None:
        """Have the volume attached; None if what was named is not there."""
        said = await self._act("attach", disk)
        path, *rest = said.split("\n")
        uris = dict(line.split(":", 1) for line in rest if ":" in line)
        uris = {hypervisor.strip().lower(): uri.strip() for hypervisor, uri in uris.items()}
        path = path.strip()
        if not path:
            if not uris:
                _LOG.error("a provider named neither a device nor a URI", disk=disk.describe())
                return None
            return driver.Device(None, uris=uris)
        if not path.startswith("/"):
            raise errors.Damaged(f"{disk.describe()}: its provider named a device {path!r}")
        found = await asyncio.to_thread(devices.numbers, path)
        return None if found is None else driver.Device(path, *found, uris=uris)

    async def assemble(self, disk: disks.Disk) -> driver.Device:
        """Have the volume attached."""
        device = await self.find(disk)
        if device is None:
            raise errors.Unavailable(f"{disk.describe()}: its provider attached nothing")
        return device

    async def open(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """Have the volume opened, if the provider cares."""
        await self._act("open", disk, VOL_OPEN_EXCLUSIVE=str(exclusive))

    async def close(self, disk: disks.Disk) -> None:
        """Have the volume closed, if the provider cares."""
        await self._act("close", disk)

    async def shutdown(self, disk: disks.Disk) -> None:
        """Have the volume detached."""
        await self._act("detach", disk)

    async def remove(self, disk: disks.Disk) -> None:
        """Have the volume detached and removed.

        One that cannot even be attached is tried to be removed and then counts as gone: that is
        what a create that failed leaves, and masters must be able to forget it.
        """
        try:
            await self._act("attach", disk)
        except programs.ToolFailed as error:
            _LOG.warning("a volume to remove cannot be attached", why=str(error))
            try:
                await self._act("remove", disk)
            except programs.ToolFailed as failure:
                _LOG.warning("a volume that cannot be attached is gone", why=str(failure))
            return
        await self._act("detach", disk)
        await self._act("remove", disk)

    async def rename(self, disk: disks.Disk, logical_id: Sequence[Any]) -> None:
        """Do nothing: masters rename the instance, and keep the volume's name."""

    async def grow(self, disk: disks.Disk, amount: int, *, dry_run: bool, exclusive: bool) -> None:
        """Have the volume made larger; the interface knows no trying out."""
        await self.assemble(disk)
        if not dry_run:
            await self._act(
                "grow", disk, VOL_SIZE=str(disk.size), VOL_NEW_SIZE=str(disk.size + amount)
            )

    async def dimensions(self, disk: disks.Disk) -> driver.Dimensions | None:
        """Return the attached device's size; what only qemu can reach has none here."""
        device = await self.find(disk)
        if device is None or device.path is None:
            return None
        return driver.Dimensions(await asyncio.to_thread(devices.size, device.path), None)

    async def snapshot(self, disk: disks.Disk, name: str | None, size: int | None) -> list[Any]:
        """Have a snapshot taken, if the provider can."""
        provider, volume = _names(disk)
        new = name or f"{volume}.snap"
        if "snapshot" not in (await self._find_provider(provider)).scripts:
            raise errors.Unavailable(f"storage provider {provider} takes no snapshots")
        await self._act(
            "snapshot", disk, VOL_SNAPSHOT_NAME=new, VOL_SNAPSHOT_SIZE=str(size or disk.size)
        )
        return [provider, new]

    async def set_info(self, disk: disks.Disk, text: str) -> None:
        """Have the text attached to the volume."""
        await self._act("setinfo", disk, VOL_METADATA=lvm.tag(text))

    @contextlib.asynccontextmanager
    async def reach(self, disk: disks.Disk, *, writable: bool) -> AsyncIterator[driver.Reached]:
        """Name the device, or the URI where there is no device."""
        async with driver.reach_device(self, disk, writable=writable) as reached:
            yield reached

    def uri(self, disk: disks.Disk, device: driver.Device, hypervisor: str) -> str:
        """Return the URI that the provider named for a hypervisor."""
        try:
            return device.uris[hypervisor.lower()]
        except KeyError:
            raise errors.Unavailable(
                f"{disk.describe()}: its provider named no URI for {hypervisor}"
            ) from None

    async def _act(self, action: str, disk: disks.Disk, **more: str) -> str:
        """Run a script; return what ``attach`` wrote, nothing for others or if it is optional."""
        provider, volume = _names(disk)
        found = await self._find_provider(provider)
        script = found.scripts.get(action)
        if script is None:
            _LOG.debug("a provider leaves out a script", provider=provider, action=action)
            return ""
        environment = {**self._environment, **_variables(disk, volume), **more}
        if action == "attach":
            finished = await runner.run(
                [script],
                environment=environment,
                timeout=_TIMEOUT,
                directory=str(found.directory),
                separate=True,
            )
            words = finished.complaints or finished.output
        else:
            async with opening.opened(
                lambda: _open_log(self._logs, f"{action}-{provider}-{volume}")
            ) as fd:
                finished = await runner.run(
                    [script],
                    environment=environment,
                    timeout=_TIMEOUT,
                    directory=str(found.directory),
                    log=fd,
                )
                words = await opening.on([fd], _tail) if finished.status else b""
        if finished.timed_out:
            raise errors.Interrupted(
                f"storage provider {provider}: {action} did not end in {_TIMEOUT:g} seconds"
            )
        if finished.status != 0:
            last = words.decode(errors="replace").splitlines()[-_SHOWN_LINES:]
            raise programs.ToolFailed(
                f"storage provider {provider}: {action} failed with status {finished.status};"
                f" last lines of its output:\n" + "\n".join(last)
            )
        return finished.output.decode(errors="replace")

    async def _find_provider(self, name: str) -> providers.Provider:
        return await asyncio.to_thread(providers.find, name, self._search)


def _names(disk: disks.Disk) -> tuple[str, str]:
    return driver.pair(disk, "a provider's and a volume's name")


def _variables(disk: disks.Disk, volume: str) -> dict[str, str]:
    found = {"VOL_NAME": volume}
    for name, value in disk.params.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or "\0" in str(value):
            raise errors.BadInput(f"{disk.describe()}: {name!r} cannot be a provider's parameter")
        found[f"EXTP_{name.upper()}"] = str(value)
    if disk.name is not None:
        found["VOL_CNAME"] = disk.name
    if disk.uuid is not None:
        found["VOL_UUID"] = disk.uuid
    return found


def _open_log(directory: Path, what: str) -> int:
    files.make_directories(directory)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", what)[:180]
    moment = time.strftime("%Y-%m-%d_%H_%M_%S")
    return os.open(directory / f"{name}-{moment}.log", _LOG_FLAGS, 0o640)


def _tail(fd: int) -> bytes:
    length = os.fstat(fd).st_size
    return os.pread(fd, _SHOWN_BYTES, max(0, length - _SHOWN_BYTES))
