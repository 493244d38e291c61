"""The daemon: wires its parts, runs them on one loop, and takes them down in order.

Start: lock the pid file, open the journal, take up what an earlier run watched, follow the
directory, say that we are ready. End, on SIGTERM or SIGINT: leave every qemu, commit what is
pending, give the locks back. Guests never notice either.
"""

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pyganeti
from pyganeti.base import (
    daemon,
    dirlock,
    errors,
    files,
    log,
    oomcount,
    poller,
    processes,
    running,
    systemd,
)
from pyganeti.base import descriptors as process_descriptors
from pyganeti.kvmd import descriptors, settings
from pyganeti.kvmd import place as places
from pyganeti.kvmd.journal import journal
from pyganeti.kvmd.judging import qemuprocess
from pyganeti.kvmd.recording import hooks, metrics, recorder
from pyganeti.kvmd.watching import directory, roster, watch

_LOG = log.get(__name__)

_HOUSEKEEPING: Final = 5.0
"""Seconds between looks at what changes slowly: waiting sockets, owed markers, memory counts."""

_METRICS: Final = 15.0
_SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which the journal's thread gets its turn, whatever the loop has to do."""

_EVENTS_AT_END: Final = 0.5
"""Seconds in which to read what qemus have sent; a flood of events would have no end."""

_STOPS_AT_END: Final = 5.0
_HOOKS_AT_END: Final = 5.0


def run(chosen: settings.Settings) -> int:
    """Run the daemon until it is told to end; return the exit code.

    Without ``foreground`` this returns in the parent as soon as the daemon is ready, or has said
    why it cannot be.
    """
    return running.run(
        settings.PROGRAM, chosen, _lock_files(chosen), lambda held: _serve(chosen, held)
    )


def _lock_files(chosen: settings.Settings) -> tuple[Path, Path]:
    """Return the files that keep a second daemon from this one's pid file and journal."""
    return chosen.pid_file, settings.lock_of(chosen.journal)


async def _serve(chosen: settings.Settings, held: running.Run) -> None:
    served = Service(chosen)
    daemon.signals(asyncio.get_running_loop(), on_stop=served.stop, on_reload=held.reopen_log)
    try:
        served.start()
        held.started.ready()
        systemd.notify("READY=1")
        await served.wait()
        systemd.notify("STOPPING=1")
    finally:
        await served.close()


class Service:
    """One daemon's parts, from `start` to `close`."""

    def __init__(self, chosen: settings.Settings) -> None:
        loop = asyncio.get_running_loop()
        self._chosen = chosen
        self._loop = loop
        self._ended: asyncio.Future[None] = loop.create_future()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._spared = 0
        self._said_unwritable = False
        self.metrics = metrics.Metrics()
        self.budget = descriptors.Budget(process_descriptors.raise_limit())
        self.place = places.Place(pid_dir=chosen.pid_dir, suffixes=chosen.suffixes)
        self._poller = poller.Poller(loop)
        self._processes = qemuprocess.QemuProcesses(self._poller, self.budget)
        self._oom = oomcount.Counter()
        self._journal = journal.Journal.open(
            chosen.journal,
            keep_days=chosen.keep_days,
            keep_rows=chosen.keep_rows,
            on_trouble=self._on_journal_trouble,
        )
        self._hooks = None if chosen.hooks_dir is None else hooks.Hooks(chosen.hooks_dir)
        self.recorder = recorder.Recorder(
            kept=self._journal, told=self._hooks, counted=self.metrics, place=self.place
        )
        self.roster = roster.Roster(
            place=self.place,
            followed=self._processes,
            oom=self._oom,
            kept=self._journal,
            recorded=self.recorder,
            counted=self.metrics,
            boot_id=processes.boot_id(),
            powerdown_window=chosen.powerdown_window,
        )
        self.watch = watch.Watch(
            polled=self._poller,
            place=self.place,
            guests_of=self.roster,
            recorded=self.recorder,
            kept=self._journal,
            counted=self.metrics,
            budget=self.budget,
            claim=self._claim,
        )
        self._directory = directory.Directory(
            chosen.ctrl_dir, self.watch, loop=loop, suffixes=chosen.suffixes
        )

    def start(self) -> None:
        """Begin; raises AlreadyRunning if another daemon watches the directory."""
        sys.setswitchinterval(_SWITCH_INTERVAL)
        self._processes.listen_to_the_kernel()
        watched, owed = self._journal.load(processes.boot_id())
        self._journal.bind(self._loop)
        self._directory.start()
        if self._ended.done():
            self._ended.result()
        self.recorder.settle(owed)
        self.roster.restore(watched)
        self._every("housekeeping", _HOUSEKEEPING, self._keep_house)
        if self._chosen.metrics_file is not None:
            self._every("metrics", _METRICS, self._write_metrics)
        watchdog = systemd.watchdog_seconds()
        if watchdog:
            self._every("watchdog", watchdog / 3, lambda: systemd.notify("WATCHDOG=1", patience=0))
        gc.freeze()
        _LOG.info(
            "started",
            version=pyganeti.__version__,
            directory=str(self._chosen.ctrl_dir),
            journal=str(self._chosen.journal),
            watched_before=len(watched),
        )

    def stop(self) -> None:
        """Have `wait` return."""
        if not self._ended.done():
            self._ended.set_result(None)

    async def wait(self) -> None:
        """Return when the daemon is to end; raises what makes it impossible to go on."""
        await self._ended

    async def close(self) -> None:
        """Hear what has been said, leave every qemu, write what is pending, end."""
        for timer in self._timers.values():
            timer.cancel()
        await self._within(_EVENTS_AT_END, lambda: self._poller.is_idle)
        await self._within(_STOPS_AT_END, lambda: self.recorder.under_way == 0)
        self.watch.close()
        self._processes.close()
        if self._hooks is not None:
            await self._hooks.drain(_HOOKS_AT_END)
            await self._hooks.close()
        self._journal.close()  # in this thread, as it calls back; nobody else is waiting any more
        self.place.dirfd = None
        self._directory.close()
        self._write_metrics()
        self._poller.close()
        _LOG.info("ended")

    async def _within(self, seconds: float, condition: Callable[[], bool]) -> None:
        """Go on until the condition holds, but not for longer."""
        deadline = self._loop.time() + seconds
        while not condition() and self._loop.time() < deadline:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.001)

    def _claim(self, dirfd: int) -> None:
        try:
            dirlock.lock(dirfd)
        except errors.Unavailable as error:
            _LOG.warning("no lock on the directory keeps others away", error=str(error))
        except errors.AlreadyRunning as error:
            if not self._ended.done():
                self._ended.set_exception(error)

    def _on_journal_trouble(self, trouble: journal.Trouble) -> None:
        if trouble.kind is journal.TroubleKind.BEGUN_ANEW:
            self.roster.remember_all()
            self.watch.forget_told()
        self.metrics.journal_failing = self._journal.failing

    def _every(self, name: str, seconds: float, act: "daemon.Act") -> None:
        def turn() -> None:
            self._timers[name] = self._loop.call_later(seconds, turn)
            act()

        self._timers[name] = self._loop.call_later(seconds, turn)

    def _keep_house(self) -> None:
        self.watch.tell_waiting()
        self.recorder.settle()
        self.roster.refresh()
        self._spare_the_collector()
        self.metrics.journal_pending = self._journal.pending
        if self._hooks is not None:
            self.metrics.hooks_dropped = self._hooks.dropped

    def _spare_the_collector(self) -> None:
        """Keep the guests out of garbage collections, which would hold the loop for their number.

        They are freed as they leave all the same: no cycle keeps them.
        """
        if len(self.roster) > self._spared * 5 // 4:
            self._spared = len(self.roster)
            gc.freeze()

    def _write_metrics(self) -> None:
        target: Path | None = self._chosen.metrics_file
        if target is None:
            return
        self._keep_house()
        self.watch.count()
        try:
            files.write_atomically(target, self.metrics.render().encode(), mode=0o644)
        except OSError as error:
            if not self._said_unwritable:
                _LOG.warning(
                    "the metrics file cannot be written", file=str(target), error=str(error)
                )
            self._said_unwritable = True
        else:
            self._said_unwritable = False
