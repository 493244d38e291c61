"""Processes by what they were started for, whoever their parent is by now.

A program gets a variable in its environment, and hands it on to what it starts; the kernel shows it
in /proc. So what somebody who was killed has left can be found and ended, and nobody else. Who
empties the environment of what it starts is not followed.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pyganeti.base import processes

_ROUNDS: Final = 100
_PAUSE: Final = 0.02


def find(variable: str, *, proc: str = processes.PROC) -> Iterator[tuple[int, str]]:
    """Yield each process that has the variable, and its value; what may not be seen is skipped."""
    wanted = f"{variable}=".encode()
    for entry in os.listdir(proc):  # noqa: PTH208 - a thousand of them
        if not entry.isdecimal():
            continue
        try:
            # A zombie's and a kernel thread's are empty.
            environment = Path(proc, entry, "environ").read_bytes()
        except OSError:  # it has ended, or is none of ours
            continue
        for item in environment.split(b"\0"):
            if item.startswith(wanted):
                yield int(entry), item[len(wanted) :].decode(errors="replace")
                break


async def end(variable: str, is_wanted: Callable[[str], bool]) -> list[int]:
    """Kill all whose value is wanted, and what they start meanwhile; return whom.

    Gives up after some seconds on what hangs in the kernel, which is then still in the list.
    """
    killed: dict[int, None] = {}
    for _ in range(_ROUNDS):
        left = await asyncio.to_thread(_kill, variable, is_wanted)
        if not left:
            break
        killed |= dict.fromkeys(left)
        await asyncio.sleep(_PAUSE)
    return list(killed)


def _kill(variable: str, is_wanted: Callable[[str], bool]) -> list[int]:
    found = [pid for pid, value in find(variable) if pid != os.getpid() and is_wanted(value)]
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    return found
