"""Removes old stops from a journal that no daemon writes to, as the daemon does while it runs.

The journal is locked meanwhile, so that no daemon starts on it: that takes moments. One that is not
legible, or of a newer version, stays as it is.
"""

from pathlib import Path
from typing import Final

from pyganeti.base import log, pidfile
from pyganeti.kvmd import settings
from pyganeti.kvmd.journal import journalfile

_LOG: Final = log.get(__name__)


def prune(
    journal: Path, *, keep_days: float, keep_rows: int, now: float, dry_run: bool = False
) -> int:
    """Remove the stops that are too old or too many; return how many those are.

    Raises AlreadyRunning if a daemon writes to the journal, Damaged, Exhausted or Unavailable if it
    cannot be read or written. Blocks.
    """
    if not journal.exists():
        return 0
    held = pidfile.PidFile(settings.lock_of(journal))
    held.acquire()
    try:
        file = journalfile.JournalFile(journal, keep_days=keep_days, keep_rows=keep_rows)
        file.open()
        try:
            found = file.prunable(now)
            if dry_run or not found:
                return found
            while file.prune(now):
                pass
            file.checkpoint()
            _LOG.info("old stops were removed", journal=str(journal), stops=found)
            return found
        finally:
            file.close()
    finally:
        held.release()
