"""How the daemon shares out its descriptors: connections first, some kept back for its own needs.

Without a reserve, the guest that takes the last descriptor would also take the journal's, the
marker's and the log's.
"""

from typing import Final

RESERVE: Final = 96
"""Descriptors that no guest gets: journal, marker, log, hooks, inotify, /proc. Where there are very
few it is half of them, so that some guests are watched."""


class Budget:
    """Counts descriptors given to guests against the process's limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._for_guests = max(limit - RESERVE, limit // 2)
        self.connections = 0
        self.processes = 0

    @property
    def may_connect(self) -> bool:
        """Whether another connection fits in."""
        return self.connections + self.processes < self._for_guests

    @property
    def may_hold_process(self) -> bool:
        """Whether a pidfd fits in; a guest can do without, so connections are left some room."""
        return self.connections + self.processes < self._for_guests * 3 // 4
