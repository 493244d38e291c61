"""Notices that the stop journal was written, came, went or was replaced, by inotify.

One watch on the journal's directory hears of every commit (the log beside the file is written),
and `base.route` of every change on the way there, so nothing is asked for again and again. What is
heard says only that it is worth a look: a commit can be seen by readers some microseconds after the
log was written, and notes of guests under watch are written too.

Failure: where inotify cannot be had (its limits are spent, a directory may not be read), the watch
is blind, and its owner has to look by itself; it tries again whenever it is asked.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pyganeti.base import inotify, log, route

_LOG = log.get(__name__)

_MASK: Final = (
    inotify.MODIFY
    | inotify.CREATE
    | inotify.DELETE
    | inotify.MOVED_FROM
    | inotify.MOVED_TO
    | inotify.ONLYDIR
)


class Watch:
    """Calls back whenever the journal may be another than before; from `open` to `close`."""

    def __init__(self, journal: Path, changed: Callable[[], None]) -> None:
        self._name = journal.name
        self._changed = changed
        self._queue: inotify.Inotify | None = None
        self._route = route.Route(str(journal.parent.absolute()), None)
        self._content: int | None = None
        self._is_told = False

    @property
    def is_blind(self) -> bool:
        """Whether something may change without a call."""
        return self._queue is None or self._route.unwatched is not None

    def open(self) -> None:
        """Begin to watch, or to watch what could not be watched before."""
        try:
            if self._queue is None:
                self._queue = self._route.queue = inotify.Inotify()
                asyncio.get_running_loop().add_reader(self._queue.fd, self._take)
            self._walk(self._queue)
        except OSError as error:
            self._drop()
            if not self._is_told:
                _LOG.warning("the stop journal is looked at now and then", why=str(error))
            self._is_told = True

    def close(self) -> None:
        """Watch no longer."""
        self._drop()

    def _drop(self) -> None:
        queue, self._queue, self._route.queue, self._content = self._queue, None, None, None
        if queue is not None:
            asyncio.get_running_loop().remove_reader(queue.fd)
            queue.close()

    def _walk(self, queue: inotify.Inotify) -> None:
        """Watch the directory that the way leads to now, if there is one."""
        before, self._content = self._content, None
        try:
            directory = self._route.walk()
        except OSError as error:
            if inotify.is_spent(error):
                raise
        else:
            try:
                self._content = queue.add(f"/proc/self/fd/{directory}", _MASK)
            finally:
                os.close(directory)
        if before is not None and before != self._content:
            queue.remove(before)

    def _take(self) -> None:
        queue = self._queue
        if queue is None:
            return
        is_news = False
        for event in queue.read():
            if self._route.is_concerned(event):
                self.open()
                is_news = True
            elif event[0] == self._content and event[2].startswith(self._name):
                is_news = True
        if is_news:
            self._changed()
