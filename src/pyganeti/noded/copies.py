"""What this node has of its cluster, for who is to become the master: how new it is, and itself.

Looking at the configuration's serial number reads the whole file, so it is done again only when the
file is another. What is told of the queue is what lies there: a copy that is being filled has no
list of good copies yet, and by that it is known. Blocks.
"""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pyganeti.base import errors, paths, watchedfile
from pyganeti.clients import configlabel
from pyganeti.model.config import datafile, entries
from pyganeti.noded import fencing
from pyganeti.wire import noderpc, standings, storefile

_JOB: Final = re.compile(r"job-([1-9][0-9]{0,17})\Z", re.ASCII)
_AT_ONCE: Final = 200
_BYTES_AT_ONCE: Final = 4 * 1024 * 1024
_JOB_LIMIT: Final = 64 * 1024 * 1024


class Copies:
    """The copies of one node."""

    def __init__(self, layout: paths.Paths, fence: fencing.Fence) -> None:
        self._layout = layout
        self._fence = fence
        self._config = watchedfile.Watched(layout.config_data, _serial_and_digest)

    async def standing(self) -> standings.Standing:
        """Return how this node stands."""
        number, master = self._fence.known or (0, "")
        config, queue = await asyncio.to_thread(self._look)
        prefix = await asyncio.to_thread(_prefix, self._layout.store_file)
        return standings.Standing(number, master, config, queue, prefix)

    async def config(self) -> dict[str, Any]:
        """Return the configuration as it is, and of which epoch it is; raises Unavailable."""
        return await asyncio.to_thread(self._whole_config)

    async def jobs(self, after: int) -> dict[str, Any]:
        """Return jobs with higher numbers than ``after``, as many as fit, and what goes with them.

        Raises Unavailable if the queue cannot be read.
        """
        return await asyncio.to_thread(self._some_jobs, after)

    def _look(self) -> tuple[standings.Config | None, standings.Queue | None]:
        try:
            found = self._config.content()
        except errors.Unavailable:
            found = ()
        config = None
        if found:
            serial, digest = found
            config = standings.Config(configlabel.read(self._layout).of(digest), serial)
        serial_file = _read(self._layout.queue_dir / "serial")
        good = _read(self._layout.queue_dir / "candidates")
        if serial_file is None and good is None:
            return config, None
        queue = standings.Queue(
            _number(serial_file), None if good is None else standings.decode_good(good)
        )
        return config, queue

    def _whole_config(self) -> dict[str, Any]:
        label = configlabel.read(self._layout)
        try:
            content = self._layout.config_data.read_bytes()
        except OSError as error:
            raise errors.Unavailable(f"there is no configuration here: {error.strerror}") from error
        return {
            "data": noderpc.encode_blob(content),
            "epoch": label.of(standings.digest_of(content)),
        }

    def _some_jobs(self, after: int) -> dict[str, Any]:
        place = self._layout.queue_dir
        try:
            numbers = sorted(number for number in _numbers(place) if number > after)
        except OSError as error:
            raise errors.Unavailable(f"the queue cannot be read: {error.strerror}") from error
        found: list[tuple[int, list[Any]]] = []
        size = 0
        for number in numbers[:_AT_ONCE]:
            data = _read(place / f"job-{number}")
            if data is None:
                continue  # archived meanwhile
            found.append((number, noderpc.encode_blob(data)))
            size += len(data)
            if size > _BYTES_AT_ONCE:
                break
        last = found[-1][0] if found else after
        return {
            "serial": _number(_read(place / "serial")),
            "drained": (place / "drain").exists(),
            "jobs": found,
            "more": any(number > last for number in numbers[len(found) :]),
        }


def _serial_and_digest(path: Path) -> tuple[int, str] | tuple[()]:
    try:
        content = path.read_bytes()
        held = datafile.parse(content)
    except (FileNotFoundError, NotADirectoryError, errors.Damaged):
        return ()
    return datafile.serial_of(held[entries.HEAD]), standings.digest_of(content)


def _prefix(path: Path) -> str | None:
    """Return where the cluster is kept in etcd, empty if it is not; None if that is not known."""
    try:
        return storefile.decode(path.read_bytes()).prefix
    except FileNotFoundError:
        return ""
    except (OSError, errors.Failure):
        return None


def _numbers(place: Path) -> Iterator[int]:
    if place.is_dir():
        for path in place.iterdir():
            found = _JOB.match(path.name)
            if found:
                yield int(found[1])


def _read(path: Path) -> bytes | None:
    """Return a file's content, None if it is not there; raises Unavailable if it is not legible."""
    try:
        with path.open("rb") as file:
            return file.read(_JOB_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be read: {error.strerror}") from error


def _number(content: bytes | None) -> int:
    try:
        return int(content or 0)
    except ValueError:
        return 0
