"""One daemon's run, from its flags to its exit status: detach, log, locks, loop, and back.

The order matters: detaching comes before everything that a fork does not take along, the log is
there before anything can go wrong, and the locks are held for as long as the loop runs. What goes
wrong is logged, told to whoever waits for the start, and gives the exit status.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Final, Protocol

from pyganeti.base import daemon, errors, log, pidfile

_LOG: Final = log.get(__name__)


class Chosen(Protocol):
    """What every daemon's flags say."""

    @property
    def foreground(self) -> bool:
        """Whether it stays where it was started, and logs to standard error."""

    @property
    def debug(self) -> bool:
        """Whether more is logged."""

    @property
    def syslog(self) -> log.Syslog:
        """Whether the log goes to syslog as well, or only there."""

    @property
    def log_file(self) -> Path:
        """Where the log is, in the background."""


class Run:
    """What a daemon holds while its loop runs."""

    def __init__(
        self, started: daemon.Startup, target: log.Target, locks: Iterable[pidfile.PidFile]
    ) -> None:
        self.started = started
        self._target = target
        self._locks = tuple(locks)

    def acquire(self) -> None:
        """Take the locks; raises AlreadyRunning or Unavailable."""
        for lock in self._locks:
            lock.acquire()

    def release(self) -> None:
        """Let go of locks and log. Harmless if it was done already."""
        for lock in reversed(self._locks):
            lock.release()
        self._target.close()

    def reopen_log(self) -> None:
        """Open the log anew: it may have been moved away."""
        self._target.reopen()
        _LOG.info("the log was reopened")


def run(
    program: str,
    chosen: Chosen,
    locks: Iterable[Path],
    serve: Callable[[Run], Coroutine[Any, Any, None]],
) -> int:
    """Run a daemon's loop until it is told to end; return the exit code.

    Without ``foreground`` this returns in the parent as soon as the daemon is ready, or has said
    why it cannot be.
    """
    started = daemon.Startup() if chosen.foreground else daemon.detach()
    target = log.configure(
        program=program,
        foreground=chosen.foreground,
        debug=chosen.debug,
        syslog=chosen.syslog,
        file=None if chosen.foreground else chosen.log_file,
    )
    held = Run(started, target, [pidfile.PidFile(path) for path in locks])
    try:
        held.acquire()
        asyncio.run(serve(held))
    except errors.Failure as error:
        _LOG.error("cannot go on", why=str(error))
        started.failed(str(error))
        return error.exit_status
    except Exception as error:  # noqa: BLE001 - the top frame; there is nobody above to tell
        _LOG.exception("a fault of ours")
        started.failed(f"a fault of ours: {error!r}")
        return 1
    finally:
        held.release()
    return 0
