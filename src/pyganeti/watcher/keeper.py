"""Keeps a node's daemons up: holds those that run, starts those that do not, when it is time.

Each that runs is held by a pidfd, so that its end is known at once and costs nothing to wait for;
for those that do not run the pid files are looked at every other second, since anybody may have
started them. When to start is decided in `keeping`, which ones in `wanted`; here is what looks,
waits and starts. A start holds the gate open, so that whoever takes the watcher's lock for himself
waits for starts under way and sees no further ones.

In failure: a node whose files cannot be read keeps the daemons it had, and that is said once. A
start that hangs is given up, and no other daemon waits for it.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pyganeti.base import daemons, errors, log, paths, pidfd
from pyganeti.watcher import gate, keeping, starting, surveying, wanted

ROUND: Final = 300.0
"""Seconds between rounds: as often as Ganeti's watcher looks."""

_LOOK: Final = 2.0
_GRACE: Final = 30.0
"""Seconds for which one that is newly wanted is left to others: whoever makes a node the master, or
takes it into a cluster, starts its daemons himself, and knows the right flags."""

_LAST: Final = 5.0
"""Seconds for which a start is waited for at the end."""

_LOG: Final = log.get(__name__)


@dataclass(slots=True)
class _Kept:
    """One daemon: what was decided about it, our hold on it, and its start under way."""

    state: keeping.Keeping = field(default_factory=keeping.Keeping)
    hold: int | None = None
    start: asyncio.Task[starting.Outcome] | None = None


class Keeper:
    """One node's; ``name`` is the node's name."""

    def __init__(
        self,
        layout: paths.Paths,
        name: str,
        door: gate.Gate,
        clock: Callable[[], float] = time.monotonic,
        observed: Callable[[str, str], None] = lambda _daemon, _what: None,
    ) -> None:
        """``observed`` is told of a daemon that it fell, was started, or did not start: failed."""
        self._observed = observed
        self._layout = layout
        self._name = name
        self._gate = door
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._news = asyncio.Event()
        self._round_at = 0.0
        self._wanted: tuple[str, ...] = ()
        self._trouble: str | None = None
        self._is_begun = False

    async def run(self) -> None:
        """Keep them until cancelled; a start under way is waited for a while."""
        try:
            while True:
                await self._turn()
                try:
                    async with asyncio.timeout(self._rest()):
                        await self._news.wait()
                except TimeoutError:
                    pass
                self._news.clear()
        finally:
            await self._let_go()

    def look(self) -> None:
        """Look soon at what this node is: something has changed."""
        self._news.set()

    def round(self) -> None:
        """Have all that should run be started soon, those that were stopped in order too."""
        self._round_at = 0.0
        self._news.set()

    async def _turn(self) -> None:
        now = self._clock()
        await self._survey()
        is_round = now >= self._round_at
        if is_round:
            self._round_at = now + ROUND
        for daemon in [known for known in self._kept if known not in self._wanted]:
            self._forget(daemon)
        for daemon in self._wanted:
            kept = self._kept.setdefault(daemon, _Kept())
            if kept.start is not None and not kept.start.done():
                continue
            self._take_start(kept)
            if kept.hold is None:
                await self._look(daemon, kept)
            if is_round:
                kept.state = keeping.asked(kept.state, self._clock())
            if keeping.is_due(kept.state, self._clock()) and self._gate.is_open():
                kept.start = asyncio.create_task(self._start(daemon))

    def _rest(self) -> float:
        """Return the seconds until something is to be done, if nothing happens before."""
        now = self._clock()
        dues = [
            kept.state.due - now
            for kept in self._kept.values()
            if kept.state.due is not None and kept.start is None
        ]
        return min([_LOOK, *(due for due in dues if due > 0)])

    async def _survey(self) -> None:
        try:
            standing = await asyncio.to_thread(surveying.standing, self._layout, self._name)
            installed = await asyncio.to_thread(surveying.installed, self._layout)
        except (errors.Failure, OSError) as error:
            if self._trouble != str(error):
                _LOG.error("what this node is cannot be told", why=str(error))
            self._trouble = str(error)
            return
        self._trouble = None
        found = wanted.daemons(standing, installed)
        if found != self._wanted:
            _LOG.info("daemons to keep", daemons=" ".join(found), master=standing.is_master)
            grace = _GRACE if self._is_begun else 0.0
            for daemon in set(found).difference(self._wanted):
                self._kept[daemon] = _Kept(keeping.wanted(self._clock(), grace))
        self._wanted = found
        self._is_begun = True

    async def _look(self, daemon: str, kept: _Kept) -> None:
        """Take hold of a daemon that runs."""
        pid = await asyncio.to_thread(daemons.running, self._layout, daemon)
        if pid is None:
            if kept.state.since is not None:
                self._ended(daemon, kept, status=None)
            return
        kept.state = keeping.runs(kept.state, self._clock())
        try:
            kept.hold = pidfd.open(pid)
        except errors.Exhausted as error:
            _LOG.warning("a daemon is looked at now and then", daemon=daemon, why=str(error))
            return
        if kept.hold is not None:
            _LOG.debug("a daemon runs", daemon=daemon, pid=pid)
            asyncio.get_running_loop().add_reader(kept.hold, self._on_end, daemon, kept)

    def _on_end(self, daemon: str, kept: _Kept) -> None:
        hold, kept.hold = kept.hold, None
        if hold is None:
            return
        asyncio.get_running_loop().remove_reader(hold)
        status = pidfd.exit_status(hold)
        os.close(hold)
        self._ended(daemon, kept, status=status)
        self._news.set()

    def _ended(self, daemon: str, kept: _Kept, *, status: int | None) -> None:
        fell = self._fell(daemon, status)
        if fell:
            self._observed(daemon, "fell")
            _LOG.warning("a daemon fell", daemon=daemon, status=status)
        else:
            _LOG.info("a daemon was stopped in order; it rests until the next round", daemon=daemon)
        kept.state = keeping.ended(kept.state, self._clock(), fell=fell, dice=random.random())

    def _fell(self, daemon: str, status: int | None) -> bool:
        """Tell whether it did not end in order: an orderly end takes the pid file along."""
        if status is not None:
            return status not in {0, signal.SIGTERM}
        return self._layout.pid_file(daemon).exists()

    async def _start(self, daemon: str) -> starting.Outcome:
        with self._gate.opened() as may:
            if not may:
                return starting.Outcome.NOT_NOW
            try:
                outcome = await starting.start(self._layout, daemon)
                if outcome is starting.Outcome.RUNS:
                    self._observed(daemon, "started")
                elif outcome is starting.Outcome.FAILED:
                    self._observed(daemon, "failed")
                return outcome
            except Exception as error:  # noqa: BLE001 - a task's top frame
                _LOG.exception("a fault of ours", daemon=daemon, error=repr(error))
                return starting.Outcome.FAILED
            finally:
                self._news.set()

    def _take_start(self, kept: _Kept) -> None:
        """Draw the conclusions from a start that is over."""
        done, kept.start = kept.start, None
        if done is None:
            return
        outcome = done.result()
        now = self._clock()
        if outcome is starting.Outcome.RUNS:
            kept.state = keeping.runs(kept.state, now)
        elif outcome is starting.Outcome.FAILED:
            kept.state = keeping.not_started(kept.state, now, dice=random.random())
        elif outcome is not starting.Outcome.NOT_NOW:
            kept.state = keeping.not_needed()

    def _forget(self, daemon: str) -> None:
        kept = self._kept.pop(daemon)
        if kept.hold is not None:
            asyncio.get_running_loop().remove_reader(kept.hold)
            os.close(kept.hold)
        if kept.start is not None:
            kept.start.cancel()

    async def _let_go(self) -> None:
        under_way = [kept.start for kept in self._kept.values() if kept.start is not None]
        if under_way:
            await asyncio.wait(under_way, timeout=_LAST)
        for daemon in list(self._kept):
            self._forget(daemon)
        await asyncio.gather(*under_way, return_exceptions=True)
