"""Telling systemd how we are: its notification protocol, and nothing more of it.

Without ``NOTIFY_SOCKET`` in the environment nothing is sent; a manager that does not listen is no
reason to fail.
"""

import contextlib
import os
import socket


def notify(state: str) -> bool:
    """Send a state such as ``READY=1``; return whether somebody was there to be told."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or address[0] not in "/@":
        return False
    target = "\0" + address[1:] if address[0] == "@" else address
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender,
    ):
        sender.sendto(state.encode(), target)
        return True
    return False


def watchdog_seconds() -> float | None:
    """Return within how many seconds systemd wants to hear from us, None if it does not."""
    try:
        seconds = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
        pid = int(os.environ.get("WATCHDOG_PID", str(os.getpid())))
    except ValueError:
        return None
    return seconds if seconds > 0 and pid == os.getpid() else None
