"""The thread that brings the journal's log to the disk, so that no stop ever waits for the disk.

A commit is in the file at once, where a crash of the daemon cannot undo it. Whether a power
failure can is up to the disk, which may take a hundredth of a second; meanwhile the writer goes on.
One sync covers all commits before it, and while one runs the next is asked for once at most.
"""

import os
import pathlib
import threading
from collections.abc import Callable


class Syncer:
    """Syncs one file, by its name, whenever that was asked for; `end` it."""

    def __init__(self, path: pathlib.Path, failed: Callable[[OSError], None]) -> None:
        """Start the thread; ``failed`` is called in it if the disk refuses."""
        self._path = os.fspath(path)
        self._failed = failed
        self._is_wanted = threading.Semaphore(0)
        self._is_asked = False
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Have what is in the file by now brought to the disk, soon."""
        if not self._is_asked:
            self._is_asked = True
            self._is_wanted.release()

    def end(self, timeout: float) -> None:
        """Do what was asked for and end; a disk that hangs is left alone after ``timeout`` s."""
        self._is_ending = True
        self._is_wanted.release()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            self._is_wanted.acquire()
            if self._is_asked:
                self._is_asked = False
                self._sync()
            if self._is_ending:
                return

    def _sync(self) -> None:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return  # it has been folded in, which syncs by itself, or another file has its place
        except OSError as error:
            self._failed(error)
