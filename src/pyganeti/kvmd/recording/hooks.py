"""Runs the site's own programs on every stop: to page somebody, to feed another system.

In the manner of run-parts: every executable file of the hooks directory whose name is made of
letters, digits, ``_`` and ``-``, in the order of the names, one after the other for one stop, with
the stop in its environment (`stoprow.as_environment`) and as a line of JSON on stdin.

Hooks can neither delay nor spoil what is recorded: they run after it, a few at once, each for a
bounded time, after which its whole process group is killed. Stops wait for them in a queue of
bounded length; beyond that they are dropped, counted and logged, the journal having them all the
same. A hook that fails is logged and the next one runs. No hooks directory: nothing happens, and it
may be made at any time.
"""

import asyncio
import collections
import contextlib
import os
import re
import stat
import time
from pathlib import Path
from typing import Final

from pyganeti.base import errors, log, runner
from pyganeti.model import stop as stops
from pyganeti.wire import stoprow

AT_ONCE: Final = 4
TIMEOUT: Final = 30.0
"""Seconds that one hook may take."""

QUEUE: Final = 1000

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN: Final = 400
_GRANULE: Final = 1.0
"""Seconds below which a directory's time does not tell one change from the next."""

_LOG: Final = log.get(__name__)


class Hooks:
    """The queue of stops that hooks are to be told of. ``dropped`` counts those they were not."""

    def __init__(
        self,
        directory: Path,
        *,
        limit: int = AT_ONCE,
        timeout: float = TIMEOUT,
        queue: int = QUEUE,
    ) -> None:
        self._directory = os.fspath(directory)
        self._limit = limit
        self._timeout = timeout
        self._bound = queue
        self._queue: collections.deque[stops.Stop] = collections.deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._known_empty: tuple[int, int] | None = None
        self._said_unusable: set[str] = set()
        self._closed = False
        self.dropped = 0

    @property
    def pending(self) -> int:
        """Stops that wait for their hooks, without those whose hooks are running."""
        return len(self._queue)

    def submit(self, stop: stops.Stop) -> None:
        """Have the hooks told of a stop, soon; never waits. To be called from the loop."""
        if self._closed or self._is_empty():
            return
        if len(self._queue) >= self._bound:
            self.dropped += 1
            if self.dropped & (self.dropped - 1) == 0:
                _LOG.error(
                    "hooks cannot keep up; they are not told of stops",
                    name=stop.name,
                    number=stop.number,
                    waiting=len(self._queue),
                    dropped=self.dropped,
                )
            return
        self._queue.append(stop)
        if len(self._workers) < self._limit:
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def drain(self, timeout: float) -> bool:
        """Wait until all hooks have run, ``timeout`` seconds at most; tell whether they have."""
        deadline = time.monotonic() + timeout
        while self._workers:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await asyncio.wait(self._workers, timeout=left)
        return True

    async def close(self) -> None:
        """Kill the hooks that are running and forget the stops that wait."""
        self._closed = True
        if self._queue or self._workers:
            _LOG.warning(
                "ending before all hooks have run",
                waiting=len(self._queue),
                running=len(self._workers),
            )
        self._queue.clear()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self) -> None:
        while self._queue:
            stop = self._queue.popleft()
            try:
                await self._tell(stop)
            except Exception as error:  # noqa: BLE001 - a task's top frame
                _LOG.exception("hooks failed", name=stop.name, error=repr(error))

    async def _tell(self, stop: stops.Stop) -> None:
        found = self._programs()
        if not found:
            await asyncio.sleep(0)
            return
        environment = stoprow.as_environment(stop) | {"PATH": _PATH}
        row = stoprow.as_json(stop) + b"\n"
        for program in found:
            await self._run(program, stop, environment, row)

    async def _run(
        self, program: str, stop: stops.Stop, environment: dict[str, str], row: bytes
    ) -> None:
        path = f"{self._directory}/{program}"
        try:
            finished = await runner.run(
                [path], environment=environment, stdin=row, timeout=self._timeout
            )
        except (OSError, errors.Exhausted) as error:
            _LOG.error("a hook cannot be started", hook=program, name=stop.name, error=str(error))
            return
        shown = finished.output[:_SHOWN].decode(errors="replace").strip()
        if finished.timed_out:
            _LOG.error(
                "a hook took too long and was killed",
                hook=program,
                name=stop.name,
                seconds=round(finished.seconds, 3),
                gone=finished.status is not None,
                output=shown,
            )
        elif finished.status != 0:
            _LOG.error(
                "a hook failed",
                hook=program,
                name=stop.name,
                status=finished.status,
                seconds=round(finished.seconds, 3),
                output=shown,
            )
        else:
            _LOG.info(
                "a hook ran",
                hook=program,
                name=stop.name,
                status=finished.status,
                seconds=round(finished.seconds, 3),
                output_cut=finished.truncated,
            )

    def _programs(self) -> list[str]:
        """Return the names of the hooks that can run now, in their order."""
        try:
            with os.scandir(self._directory) as entries:
                names = sorted(entry.name for entry in entries if _NAME.fullmatch(entry.name))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            _LOG.error("the hooks cannot be listed", error=str(error))
            return []
        return [name for name in names if self._is_usable(name)]

    def _is_usable(self, name: str) -> bool:
        path = f"{self._directory}/{name}"
        usable = False
        with contextlib.suppress(OSError):
            usable = stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK)  # noqa: PTH116
        if usable:
            self._said_unusable.discard(name)
        elif name not in self._said_unusable and len(self._said_unusable) < self._bound:
            self._said_unusable.add(name)
            _LOG.warning("a file among the hooks is not executable", hook=name)
        return usable

    def _is_empty(self) -> bool:
        """Tell cheaply whether there are no hooks at all: a storm of stops need not queue then."""
        try:
            found = os.stat(self._directory)  # noqa: PTH116 - the hot path of a storm
        except OSError:
            return True
        identity = (found.st_ino, found.st_mtime_ns)
        if identity == self._known_empty:
            return True
        try:
            empty = not os.listdir(self._directory)  # noqa: PTH208
        except OSError:
            return False
        if empty and time.time() - found.st_mtime > _GRANULE:
            self._known_empty = identity
        return empty
