"""Who a qemu is: a key that no other qemu on this host has, before or after. Pure.

The process alone would do (pid and start time) were it not for pid namespaces, which hide it, and
for programs that serve many sockets; so the key holds the socket file's inode and time as well.
"""

import itertools
from collections.abc import Iterable
from typing import Final

_NO_REBOOT: Final = (b"-no-reboot", b"--no-reboot")
_WATCHDOG_ACTION: Final = (b"-watchdog-action", b"--watchdog-action")
_HOLDS: Final = b"shutdown=pause"
_KEEPS_PANICKED: Final = b"panic=pause"
_ENDING_ACTIONS: Final = (b"reboot=shutdown", b"watchdog=shutdown")


def key(boot_id: str, pid: int | None, ticks: int | None, inode: int, mtime_ns: int) -> str:
    """Return the key of the qemu with that process behind that socket file, since that boot."""
    return f"{boot_id[:8]}-{pid or 0}-{ticks or 0}-{inode:x}-{mtime_ns:x}"


def is_of_socket(key_: str, inode: int, mtime_ns: int) -> bool:
    """Tell whether the key's qemu had that socket file; else the file belongs to another one."""
    return key_.endswith(f"-{inode:x}-{mtime_ns:x}")


def ends_unlike_a_power_off(command_line: Iterable[bytes]) -> bool | None:
    """Tell whether a qemu of that command line can be held in ``shutdown`` by something else.

    A reset of the guest does it under ``-no-reboot``, a watchdog by pressing the power button;
    afterwards, only the events that nobody saw could tell which it was. None if the command line
    is empty, as it is where it is hidden from us.
    """
    arguments = tuple(command_line)
    if not arguments:
        return None
    return any(
        argument in _NO_REBOOT
        or any(action in argument for action in _ENDING_ACTIONS)
        or (before in _WATCHDOG_ACTION and argument == b"shutdown")
        for before, argument in itertools.pairwise((b"", *arguments))
    )


def is_held_for_us(command_line: Iterable[bytes]) -> bool:
    """Tell whether a qemu whose guest has panicked stays only because one that stops is held.

    Under ``-action shutdown=pause`` a panic holds the guest, too. With ``panic=pause`` somebody
    wants it to stay, to look at the guest's memory.
    """
    arguments = tuple(command_line)
    return any(_HOLDS in argument for argument in arguments) and not any(
        _KEEPS_PANICKED in argument for argument in arguments
    )
