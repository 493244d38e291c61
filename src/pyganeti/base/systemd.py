"""Telling systemd how we are: sd_notify(3) and the watchdog, without its library.

Without ``NOTIFY_SOCKET`` every call does nothing. A manager that does not listen costs a bounded
wait and is never an error: the daemon's work does not depend on who started it.
"""

import math
import os
from typing import Final

from pyganeti.base import log

_LOG = log.get(__name__)
_PATIENCE: Final = 0.5


def notify(state: str, *, patience: float = _PATIENCE) -> bool:
    """Send one or more lines such as "READY=1"; return whether the manager has them.

    Usually takes microseconds. If the manager's queue is full this blocks for at most ``patience``
    seconds: give 0 on a loop, for what is said again soon.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):  # unset, or of a kind that is not a local socket
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    import socket  # noqa: PLC0415 - only where there is somebody to tell

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(patience)
            sender.connect(address)
            sender.send(state.encode())
    except OSError as error:
        _LOG.debug("systemd was not told", state=state, error=str(error))
        return False
    return True


def watchdog_seconds() -> float | None:
    """Return how often systemd wants to hear "WATCHDOG=1" at least, None if it does not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # meant for the process that started us
    try:
        seconds = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < math.inf else None
