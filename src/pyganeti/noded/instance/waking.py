"""The program behind a console: lets a guest that was started paused go on, as Ganeti's does.

A person who starts a guest paused wants to see its very first words, so it goes on once the
console is connected. Called as ``python -m … MONITOR SERIAL COMMAND…`` by ssh, with what `console`
says; the command takes this process's place, and a process of its own wakes the guest. A guest that
stands still on its way to another node is left alone.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from pyganeti.base import errors
from pyganeti.noded.qemu import monitor

_STANDS: Final = frozenset(("paused", "prelaunch"))
_NOT_MOVING: Final = frozenset(("none", "completed", "failed", "cancelled"))
_CONNECTED: Final = "03"
_PATIENCE: Final = 10.0
_LOOK: Final = 0.02


def main() -> None:
    """Have the guest woken if it stands still, and become the command."""
    qmp, serial, *command = sys.argv[1:]
    if not os.fork():
        try:
            if asyncio.run(_wake(Path(qmp), serial)):
                os.write(2, b"The instance was paused and goes on now.\r\n")
        except errors.Failure as error:
            os.write(2, f"{error}\r\n".encode())
        finally:
            os._exit(0)
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


async def _wake(qmp: Path, serial: str) -> bool:
    """Return whether the guest stood still and was told to go on."""
    if not await _stands(qmp):
        return False
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE
    while not _is_connected(serial) and loop.time() < deadline:  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(_LOOK)
    await monitor.once(qmp, "cont")
    return True


async def _stands(qmp: Path) -> bool:
    async with monitor.open(qmp) as talk:
        if await talk.status() not in _STANDS:
            return False
        moving = await talk.execute("query-migrate")
        return str(moving.get("status", "none")) in _NOT_MOVING


def _is_connected(serial: str) -> bool:
    """Tell whether somebody is connected to a Unix socket, by the kernel's list."""
    lines = Path("/proc/net/unix").read_text(errors="replace").splitlines()
    return any(
        words[5] == _CONNECTED and words[7] == serial
        for words in (line.split(None, 7) for line in lines)
        if len(words) > 7  # noqa: PLR2004 - those that have a path
    )


if __name__ == "__main__":
    main()
