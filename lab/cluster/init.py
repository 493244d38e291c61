"""The first process of a node: reaps what others leave, and takes the whole node with it.

It holds the reading end of a pipe whose writing end only the laboratory has. When that ends, or
the time limit is over, it ends, and with the first process of a process namespace the kernel kills
all others in it: a laboratory that is killed with ``kill -9`` leaves no process of any node.

Daemons and qemus detach themselves and become its children. It reaps them at once, for whoever
wants to know how a qemu ended learns that only then.

Started by path with ``python -I -S``, hence it imports nothing but the standard library.
"""

import contextlib
import os
import select
import signal
import sys
import time
from typing import Final

UP: Final = b"up\n"
"""What it says when it is there."""


def main(limit: float) -> int:
    """Live until stdin ends, but no longer than so many seconds."""
    deadline = time.monotonic() + limit
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    woken, wakes = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    os.write(1, UP)
    os.close(1)
    while (left := deadline - time.monotonic()) > 0:
        ready = select.select([0, woken], [], [], left)[0]
        if 0 in ready and not os.read(0, 4096):
            break
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 65536)
            _reap()
    return 0


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
