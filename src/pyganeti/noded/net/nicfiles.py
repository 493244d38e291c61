"""Which taps an instance has: ``nic/INSTANCE/N`` holds the tap's name, as Ganeti's tools read it.

Beside it, ``nic/INSTANCE/N.json`` is what the NIC was when it was attached, so that whoever cleans
up knows it whatever became of the instance's configuration. Both are written before anything is
attached, so that there is nothing attached that no file tells of. They lie on what a reboot
empties. Blocking, for a few files; a file that cannot be understood counts as not there.
"""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyganeti.base import files, log
from pyganeti.noded.net import nic as nics

_VERSION: Final = 1
_MODE: Final = 0o640
_LOG: Final = log.get(__name__)


class _Kept(msgspec.Struct):
    version: int
    tap: str
    nic: nics.Nic


@dataclass(frozen=True, slots=True)
class Attached:
    """A NIC's tap. ``nic`` is None if only the tap's name is known: Ganeti's noded wrote that."""

    instance: str
    index: int
    tap: str
    nic: nics.Nic | None


class NicFiles:
    """The folder ``nic`` of a node."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def instances(self) -> list[str]:
        """Return the instances that have, or had, taps here."""
        try:
            return sorted(entry.name for entry in self._folder.iterdir() if entry.is_dir())
        except OSError:
            return []

    def write(self, nic: nics.Nic, tap: str) -> None:
        """Keep a NIC's tap; raises OSError."""
        folder = self._folder / nic.instance
        files.make_directories(folder)
        kept = msgspec.json.encode(_Kept(_VERSION, tap, nic))
        files.write_atomically(folder / f"{nic.index}.json", kept, _MODE)
        files.write_atomically(folder / str(nic.index), tap.encode(), _MODE)

    def read(self, instance: str) -> list[Attached]:
        """Return what is kept of an instance, by index."""
        found = []
        try:
            names = [path.name for path in (self._folder / instance).iterdir()]
        except OSError:
            return []
        for index in sorted(int(name) for name in names if name.isdecimal()):
            kept = self._read(instance, index)
            if kept is not None:
                found.append(kept)
        return found

    def remove(self, instance: str, index: int | None = None) -> None:
        """Forget an instance's NIC, or all of them."""
        folder = self._folder / instance
        if index is None:
            shutil.rmtree(folder, ignore_errors=True)
            return
        for name in (f"{index}.json", str(index)):
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are left
            folder.rmdir()

    def _read(self, instance: str, index: int) -> Attached | None:
        folder = self._folder / instance
        try:
            tap = (folder / str(index)).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            _LOG.warning("a NIC's file cannot be read", instance=instance, error=str(error))
            return None
        try:
            kept = msgspec.json.decode((folder / f"{index}.json").read_bytes(), type=_Kept)
            if kept.version == _VERSION and kept.tap == tap:
                return Attached(instance, index, tap, kept.nic)
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            _LOG.warning("what a NIC was cannot be read", instance=instance, error=str(error))
        return Attached(instance, index, tap, None)
