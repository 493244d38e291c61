"""A node's storage below a directory of its own, and storage tools that record how they are run."""

import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import paths
from pyganeti.model import disk as disks
from pyganeti.noded.storage import storage


class Tools:
    """Programs on a path of their own; each records its arguments and says what it is told."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "bin"
        self._log = directory / "log"
        self.path.mkdir()

    def fake(self, name: str, output: str = "", *, body: str = "", status: int = 0) -> None:
        """Make a program that runs ``body``, writes ``output`` and exits."""
        answer = self.path / f".{name}"
        answer.write_text(output)
        script = self.path / name
        script.write_text(
            f"#!/bin/sh\n"
            f"{{ printf '%s' {name}; printf ' %s' \"$@\"; echo; }}"
            f" >> {shlex.quote(str(self._log))}\n"
            f"{body}\ncat {shlex.quote(str(answer))}\nexit {status}\n"
        )
        script.chmod(0o755)

    def calls(self, name: str = "") -> list[str]:
        """Return the command lines so far, of one program or of all."""
        if not self._log.exists():
            return []
        lines = self._log.read_text().splitlines()
        return [line for line in lines if not name or line.split()[0] == name]

    def forget(self) -> None:
        """Begin a new record."""
        self._log.unlink(missing_ok=True)


class Site:
    """One node's root, the place for its files, and its storage."""

    def __init__(self, root: Path) -> None:
        self.layout = paths.Paths(root, "node1.example.com")
        self.place = root / "srv/disks"
        self.place.mkdir(parents=True)
        self.layout.config_dir.mkdir(parents=True)
        self.layout.state_dir.mkdir(parents=True)
        self.allow(self.place)
        self.tools = Tools(root)
        self.storage = storage.Storage(
            self.layout,
            {"PATH": f"{self.tools.path}:{os.environ['PATH']}"},
            patience=storage.Patience(pause=0.01, total=0.5),
        )

    def allow(self, *places: Path) -> None:
        """List the places for files."""
        text = "# places\n\n" + "".join(f"{place}\n" for place in places)
        (self.layout.config_dir / "file-storage-paths").write_text(text)

    def file(self, name: str = "disk0", *, size: int = 4, **params: Any) -> disks.Disk:
        """Describe a disk that is a file."""
        return disks.Disk(
            dev_type=disks.Template.FILE,
            logical_id=("loop", str(self.place / name)),
            size=size,
            iv_name="disk/0",
            params=params,
        )

    def names(self) -> list[str]:
        """Return what lies in the place for files."""
        return sorted(entry.name for entry in self.place.iterdir())

    async def create(self, disk: disks.Disk) -> list[Any]:
        """Make a disk as a master would on the primary node."""
        return await self.storage.create(disk, primary=True, info="words", exclusive=False)


@pytest.fixture
def site(short_dir: Path) -> Site:
    root = short_dir / "root"
    root.mkdir()
    return Site(root)


@pytest.fixture
def tools(site: Site) -> Tools:
    return site.tools
