"""What a qemu that has ended leaves: files, sockets, a user, a directory, what its taps had.

Called after every end that we see and before every start, so that an end that nobody saw (a crash,
a node daemon killed in the middle) is cleaned up too. What cannot be removed is logged and the
rest goes on. The intent stays: whoever judges the end still wants to read it.
"""

import asyncio
import pathlib
from collections.abc import Iterator

from pyganeti.base import errors, log
from pyganeti.noded.instance import hypervisor
from pyganeti.noded.qemu import credentials, places, process, security, tpm

_LOG = log.get(__name__)


async def clean(
    host: hypervisor.Hypervisor, name: str, *, keep_runtime: bool = False, keep_marker: bool = False
) -> None:
    """Remove what is left of an instance that does not run; raises Failure if it does run."""
    if await asyncio.to_thread(had_taps, host.where, name):
        await host.network.release(name)
    await asyncio.to_thread(
        remove, host.where, name, keep_runtime=keep_runtime, keep_marker=keep_marker
    )


def had_taps(where: places.Places, name: str) -> bool:
    """Tell whether an instance has taps to be released; raises Failure if it runs. Blocks."""
    if process.find(where, name) is not None:
        raise errors.Failure(f"{name} runs; what belongs to it stays")
    return (where.taps / name).exists()


def remove(
    where: places.Places, name: str, *, keep_runtime: bool = False, keep_marker: bool = False
) -> None:
    """Remove what is left of an instance that does not run, its taps apart. Blocks."""
    for path in _files(where, name, keep_runtime=keep_runtime, keep_marker=keep_marker):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _LOG.error("a file cannot be removed", path=str(path), error=str(error))
    for what in (tpm.stop, credentials.forget, security.release):
        try:
            what(name, where)
        except OSError as error:
            _LOG.error("something stays behind", name=name, error=str(error))


def _files(
    where: places.Places, name: str, *, keep_runtime: bool, keep_marker: bool
) -> Iterator[pathlib.Path]:
    for suffix in places.SOCKETS:
        yield where.socket(name, suffix)
    if not keep_runtime:
        yield where.runtime(name)
    yield where.balloons / name
    if not keep_marker:
        yield where.marker(name)
    # Last: as long as it is there, the next look finds that there is something to clean up.
    yield where.pid_file(name)
