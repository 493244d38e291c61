"""Runs the site's programs on every event of recovery: those of ``hooks/instance-recovery.d``.

In the manner of run-parts, on the master node alone, with the event in the environment (`message`)
and as a line of JSON on stdin. Those of one instance run in the order in which things happened;
different instances are told beside each other, `_LANES` at a time. A program has `_TIMEOUT`
seconds, and then its whole process group is killed. It can hold up nothing but those behind it;
of what waits too long a queue the oldest is dropped, counted and said.
"""

import asyncio
import collections
import contextlib
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pyganeti.base import log, runparts, siteprograms
from pyganeti.watcher import events
from pyganeti.watcher.telling import message

_LOG: Final = log.get(__name__)

FOLDER: Final = "hooks/instance-recovery.d"
_LANES: Final = 4
_TIMEOUT: Final = 30.0
_MOST: Final = 1000
"""Events that wait in one lane."""

_SHOWN: Final = 400


class Programs:
    """Listens; its lanes run from `start` to `close`."""

    def __init__(
        self,
        folder: Path,
        cluster: Callable[[], str],
        *,
        observed: Callable[[str], None] = lambda _: None,
        timeout: float = _TIMEOUT,
        most: int = _MOST,
    ) -> None:
        """``observed`` is told of each run: succeeded, failed; and of each event: dropped."""
        self._folder = folder
        self._cluster = cluster
        self._observed = observed
        self._timeout = timeout
        self._most = most
        self._lanes: list[collections.deque[events.Event]] = [
            collections.deque() for _ in range(_LANES)
        ]
        self._come = [asyncio.Event() for _ in range(_LANES)]
        self._busy = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to run programs."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run(number)) for number in range(_LANES)]

    async def on_event(self, event: events.Event) -> None:
        """Have the programs told; does not wait for them."""
        number = zlib.crc32(event.instance.encode(errors="replace")) % _LANES
        lane = self._lanes[number]
        if len(lane) >= self._most:
            lane.popleft()
            self._observed("dropped")
            _LOG.error("programs cannot keep up; they are not told of an event")
        lane.append(event)
        self._come[number].set()

    async def close(self, patience: float) -> None:
        """Let what waits be told for so many seconds; then kill what runs."""
        deadline = time.monotonic() + patience
        while (self._busy or any(self._lanes)) and time.monotonic() < deadline:  # noqa: ASYNC110 - a moment, at the end
            await asyncio.sleep(0.02)
        left = sum(len(lane) for lane in self._lanes)
        if left or self._busy:
            _LOG.warning("ending before all programs have run", waiting=left, running=self._busy)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _run(self, number: int) -> None:
        lane, come = self._lanes[number], self._come[number]
        while True:
            await come.wait()
            come.clear()
            while lane:
                with self._at_work():
                    await self._tell(lane.popleft())

    @contextlib.contextmanager
    def _at_work(self) -> "collections.abc.Iterator[None]":
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def _tell(self, event: events.Event) -> None:
        try:
            cluster = await asyncio.to_thread(self._cluster)
            environment = message.as_environment(event, cluster) | {"PATH": siteprograms.PATH}
            told = await runparts.run(
                self._folder,
                environment,
                self._timeout,
                stdin=message.as_json(event, cluster) + b"\n",
            )
        except Exception:  # noqa: BLE001 - a lane's top frame: there are other events
            _LOG.exception("programs could not be run", event=event.kind, name=event.instance)
            return
        for name, outcome, said in told:
            if outcome is runparts.Outcome.SKIPPED:
                continue
            is_well = outcome is runparts.Outcome.SUCCEEDED
            self._observed("succeeded" if is_well else "failed")
            say = _LOG.info if is_well else _LOG.warning
            say(
                "a program was told of an event",
                hook=name,
                event=event.kind,
                name=event.instance,
                outcome=outcome.name.lower(),
                said=said[:_SHOWN],
            )
