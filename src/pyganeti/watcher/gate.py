"""Whether the watcher may act at this moment, asked anew right before it does.

Two things keep it from acting: a pause (``gnt-cluster watcher pause``), which the operator sets for
a time, and somebody who holds the watcher's lock for himself, as Ganeti's tools do while they stop
the daemons of a whole cluster. While it acts it holds that lock together with other watchers; it
holds it for no longer than that, so that nobody waits for a daemon that only looks.

In failure (a directory that cannot be read, a full disk) it does not act, and says so once.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final

from pyganeti.base import errors, filelock, log, paths, watcherpause

_LOG: Final = log.get(__name__)


class Gate:
    """One watcher's gate; with ``ignores_pause`` a pause does not close it."""

    def __init__(
        self,
        layout: paths.Paths,
        *,
        ignores_pause: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._layout = layout
        self._ignores_pause = ignores_pause
        self._clock = clock
        self._told: str | None = None
        self.is_in_trouble = False
        """Whether it is closed because nobody can tell whether it should be."""

    @contextlib.contextmanager
    def opened(self) -> Iterator[bool]:
        """Tell whether to act inside this block, which has to be short: a step, not a wait."""
        with contextlib.ExitStack() as held:
            why = self._why_closed(held)
            if why != self._told:
                if why is None:
                    _LOG.info("the watcher may act again")
                else:
                    _LOG.info("the watcher rests", why=why)
                self._told = why
            yield why is None

    def is_open(self) -> bool:
        """Tell whether it may act now."""
        with self.opened() as may:
            return may

    def _why_closed(self, held: contextlib.ExitStack) -> str | None:
        self.is_in_trouble = False
        try:
            if not self._ignores_pause:
                until = watcherpause.read(self._layout.watcher_pause, self._clock())
                if until is not None:
                    return "it is paused"
            if not held.enter_context(filelock.shared(self._layout.watcher_lock)):
                return "its lock is held by somebody for himself"
        except (OSError, errors.Failure) as error:
            self.is_in_trouble = True
            return f"whether it may act cannot be told: {error}"
        return None
