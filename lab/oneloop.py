"""The daemon's parts on the caller's own loop, wired as in life, over fake qemus of `tinyqemus`.

For tests that want to act between two turns of the loop, or to look inside; everything is real but
the process of its own.

    kvmd = oneloop.Kvmd(directory)
    kvmd.start()
    web1 = kvmd.qemu("web1")
    await kvmd.see_watched("web1")
    web1.power_off()
    assert (await kvmd.see_stops("web1"))[0].cause == "user-poweroff"
    await kvmd.close()
"""

import dataclasses
import os
from pathlib import Path
from typing import Any, Final

from lab import listening, tinyqemus
from pyganeti.base import errors, paths
from pyganeti.clients import stopjournal
from pyganeti.kvmd import app, settings
from pyganeti.model import stop as stops

PATIENCE: Final = 15.0
"""How long any wait here lasts, in seconds."""


class Kvmd:
    """One service, which can be stopped and started again over the same directory and journal."""

    def __init__(self, root: Path) -> None:
        self.ctrl = root / "ctrl"
        self.ctrl.mkdir(exist_ok=True)
        layout = paths.Paths.from_environment({"GANETI_ROOTDIR": str(root)})
        self.settings = settings.locate(layout, self.ctrl, root / "journal.sqlite")
        self.service: app.Service | None = None
        self._qemus: list[tinyqemus.TinyQemu] = []

    def change(self, **settings: Any) -> None:  # noqa: ANN401 - any setting
        """Change settings for the runs to come."""
        self.settings = dataclasses.replace(self.settings, **settings)

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.settings.journal

    def qemu(self, name: str, *, hold: bool = False) -> tinyqemus.TinyQemu:
        """Start a fake qemu of that name; it ends with the test."""
        found = tinyqemus.TinyQemu(self.ctrl / f"{name}.kvmd", hold=hold)
        self._qemus.append(found)
        return found

    def build(self) -> app.Service:
        """Make the parts of a run without setting them to work."""
        self.service = app.Service(self.settings)
        return self.service

    def start(self) -> app.Service:
        """Begin a run; return its parts."""
        parts = self.build()
        parts.start()
        return parts

    async def stop(self) -> None:
        """End the run in order; without one do nothing."""
        if self.service is not None:
            service, self.service = self.service, None
            await service.close()

    async def close(self) -> None:
        """End everything."""
        await self.stop()
        for qemu in self._qemus:
            qemu.close()

    def watched(self) -> dict[str, stops.Watched]:
        """Return what is on record as watched, by name."""
        try:
            with stopjournal.Reader(self.journal) as reader:
                return {row.name: row for row in reader.watched()}
        except errors.Failure:
            return {}

    def waiting(self) -> dict[str, stops.Waiting]:
        """Return the sockets on record as not usable yet, by file name."""
        try:
            with stopjournal.Reader(self.journal) as reader:
                return {row.socket: row for row in reader.waiting()}
        except errors.Failure:
            return {}

    def recorded(self, name: str | None = None) -> list[stops.Stop]:
        """Return what is recorded, oldest first; nothing while there is no journal."""
        try:
            with stopjournal.Reader(self.journal) as reader:
                return list(reader.stops(name=name))
        except errors.Failure:
            return []

    def has_marker(self, name: str) -> bool:
        """Tell whether ``NAME.shutdown`` is there."""
        return os.path.lexists(self.ctrl / f"{name}.shutdown")

    async def see_watched(self, name: str, pid: int | None = None) -> stops.Watched:
        """Wait until the guest is connected and on record."""

        def holds() -> bool:
            row = self.watched().get(name)
            return row is not None and row.attached and pid in (None, row.pid)

        await listening.until(holds, PATIENCE)
        return self.watched()[name]

    async def see_stops(self, name: str, number: int = 1) -> list[stops.Stop]:
        """Wait until so many stops of the name are on record."""
        await listening.until(lambda: len(self.recorded(name)) >= number, PATIENCE)
        return self.recorded(name)
