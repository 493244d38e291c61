"""Keeps the journal's file usable: opens it, does work on it, and sees to it when that fails.

A damaged file is set aside and a new one begun, at most once in `_SET_ASIDE_PAUSE`; any other
trouble is tried again after pauses that grow to `_LONGEST_PAUSE`, with jitter, on a file that is
opened anew. Trouble is told once when it comes and once when it is over. For the writer's thread.
"""

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from pyganeti.base import errors, log
from pyganeti.kvmd.journal import journalfile, messages

_T = TypeVar("_T")
_LOG = log.get(__name__)

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_SET_ASIDE_PAUSE: Final = 60.0


class Upkeep:
    """The care of one file; ``tell`` takes what happens to it, and a word about it."""

    def __init__(
        self, file: journalfile.JournalFile, tell: Callable[[messages.TroubleKind, str], None]
    ) -> None:
        self.is_failing = False
        """Whether the last work failed: the next is for `retry_at`."""
        self.retry_at = 0.0
        self._file = file
        self._tell = tell
        self._is_told = False
        self._pause = _FIRST_PAUSE
        self._set_aside_at = -_SET_ASIDE_PAUSE

    def open(self) -> None:
        """Open the file at the start; that it cannot be is told."""
        try:
            self._open_if_need_be()
        except errors.Failure as error:
            self.failed(str(error))

    def do(self, work: Callable[[], _T]) -> _T:
        """Do work on the file; if it proves damaged or is gone, do it on another one.

        Raises what the work raises, or what keeps a file from being opened.
        """
        self._open_if_need_be()
        try:
            return work()
        except errors.Damaged as error:
            self._set_aside(str(error))
            self._open_if_need_be()
            return work()

    def failed(self, reason: str) -> None:
        """Take note that work failed; say so if that is news."""
        self._file.close()
        pause = self._pause * random.uniform(0.8, 1.2)
        self.retry_at = time.monotonic() + pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self.is_failing = True
        if self._is_told:
            _LOG.debug("the journal still cannot be written", reason=reason, pause=round(pause, 1))
            return
        self._is_told = True
        _LOG.error(
            "the journal cannot be written; stops are kept in memory",
            path=str(self._file.path),
            reason=reason,
        )
        self._tell(messages.TroubleKind.FAILING, reason)

    def succeeded(self, *, is_all_written: bool) -> None:
        """Take note that work succeeded; say so once nothing is left of a failure."""
        self.is_failing = False
        if self._is_told and is_all_written:
            self._is_told = False
            self._pause = _FIRST_PAUSE
            _LOG.warning("the journal is written again", path=str(self._file.path))
            self._tell(messages.TroubleKind.WELL, "")

    def _open_if_need_be(self) -> None:
        if self._file.is_open and not self._file.is_replaced():
            return
        try:
            is_another = self._file.open()
        except errors.Damaged as error:
            self._set_aside(str(error))
            is_another = self._file.open()
        if is_another:
            _LOG.error("the journal was begun anew", path=str(self._file.path))
            self._tell(messages.TroubleKind.BEGUN_ANEW, "the file is another than before")

    def _set_aside(self, reason: str) -> None:
        now = time.monotonic()
        if now < self._set_aside_at + _SET_ASIDE_PAUSE:
            raise errors.Unavailable(f"the journal is damaged, and again so soon: {reason}")
        kept = self._file.set_aside(time.time())
        self._set_aside_at = now
        _LOG.error(
            "the journal is damaged and was set aside",
            path=str(self._file.path),
            kept=str(kept),
            reason=reason,
        )
