"""Whatever happens to guests and to the daemon, in whatever order: one stop, one row, right marker.

The qemus are tiny real processes that speak QMP and die for real; the daemon is the real one, in
a process of its own, and is ended in order or killed at any moment.
"""

import contextlib
import dataclasses
import functools
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from lab import tinyqemus
from pyganeti.base import paths
from pyganeti.kvmd import app
from pyganeti.kvmd import settings as kvmd_settings
from pyganeti.model.cause import Cause

_DEADLINE = 20.0
NAMES = st.sampled_from(["web1", "dä ta"])


@dataclass
class Life:
    """One fake qemu and what is to be expected of its row."""

    name: str
    qemu: tinyqemus.TinyQemu
    hold: bool
    held: bool = False
    asked: bool = False
    panicked: bool = False
    known: bool = False
    end: Cause | None = None
    unseen: bool = False


def _log_to(path: Path) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(opened, standard)


def _until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _DEADLINE
    pause = 0.0005
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(pause)
        pause = min(0.02, pause * 1.5)


class RecordedOnce(RuleBasedStateMachine):
    """Guests of two names, one daemon."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.ctrl = self.root / "ctrl"
        self.ctrl.mkdir()
        self.journal = self.root / "journal.sqlite"
        self.daemon: int | None = None
        self.starts = 0
        self.lives: list[Life] = []
        self.start_daemon()

    def running(self, name: str) -> Life | None:
        return next((x for x in self.lives if x.name == name and x.end is None), None)

    @precondition(lambda self: self.daemon is None)
    @rule()
    def start_daemon(self) -> None:
        chosen = kvmd_settings.locate(
            paths.Paths.from_environment({"GANETI_ROOTDIR": str(self.root)}),
            self.ctrl,
            self.journal,
        )
        pid = os.fork()
        if pid == 0:
            code = 99
            with contextlib.suppress(BaseException):
                _log_to(self.root / "log")
                code = app.run(dataclasses.replace(chosen, foreground=True))
            os._exit(code)
        self.daemon = pid
        self.starts = self._started_lines() + 1

    @precondition(lambda self: self.daemon is not None)
    @rule()
    def end_daemon(self) -> None:
        self._end_daemon(signal.SIGTERM)

    @precondition(lambda self: self.daemon is not None)
    @rule()
    def kill_daemon(self) -> None:
        self._end_daemon(signal.SIGKILL)

    def _end_daemon(self, number: int) -> None:
        assert self.daemon is not None
        os.kill(self.daemon, number)
        os.waitpid(self.daemon, 0)
        self.daemon = None
        watched = {row[0] for row in self._select("SELECT pid FROM watched")}
        recorded = {row[0] for row in self._select("SELECT pid FROM stops")}
        for life in self.lives:
            life.known |= life.qemu.pid in watched
            if life.end is not None and life.qemu.pid not in recorded:
                life.unseen = True

    @rule(name=NAMES, hold=st.booleans())
    def start_guest(self, name: str, hold: bool) -> None:  # noqa: FBT001
        if any(x.name == name and not x.qemu.has_ended() for x in self.lives):
            return  # a qemu that is held has the name still
        life = Life(name, tinyqemus.TinyQemu(self.ctrl / f"{name}.kvmd", hold=hold), hold)
        self.lives.append(life)
        _until(lambda: life.qemu.saw("listening"), "the guest listens")

    @rule(name=NAMES)
    def see_attached(self, name: str) -> None:
        life = self.running(name)
        if life and self.daemon is not None:
            _until(lambda: self._is_watched(life), "the guest is watched")
            life.known = True

    @rule(name=NAMES)
    def press_button(self, name: str) -> None:
        life = self.running(name)
        if life and self._is_seen(life):
            life.qemu.emit("POWERDOWN")
            life.asked = True

    @rule(name=NAMES)
    def reset(self, name: str) -> None:
        life = self.running(name)
        if life and self._is_seen(life):
            life.qemu.emit("RESET", guest=True, reason="guest-reset")
            life.asked = life.panicked = False

    @rule(name=NAMES)
    def panic(self, name: str) -> None:
        life = self.running(name)
        if life and self._is_seen(life):
            life.qemu.emit("GUEST_PANICKED", action="pause")
            life.panicked = True

    @rule(name=NAMES)
    def make_noise(self, name: str) -> None:
        life = self.running(name)
        if life:
            life.qemu.emit("DEVICE_DELETED", device="SHUTDOWN", path="/machine")

    @rule(name=NAMES)
    def power_off(self, name: str) -> None:
        life = self.running(name)
        if not life:
            return
        life.end = Cause.ADMIN_SHUTDOWN if life.asked else Cause.USER_POWEROFF
        self._take_leave(life)
        life.held = life.hold
        life.qemu.power_off()
        if not life.hold:
            _until(life.qemu.has_ended, "the guest has ended")

    @rule(name=NAMES, number=st.sampled_from([signal.SIGKILL, signal.SIGSEGV]))
    def kill_guest(self, name: str, number: signal.Signals) -> None:
        life = self.running(name)
        if not life:
            return
        life.end = Cause.KILLED if number == signal.SIGKILL else Cause.CRASHED
        self._take_leave(life)
        life.qemu.kill(number)
        _until(life.qemu.has_ended, "the guest has ended")

    @rule(name=NAMES)
    def exit_guest(self, name: str) -> None:
        life = self.running(name)
        if not life:
            return
        life.end = Cause.EXITED
        self._take_leave(life)
        life.qemu.exit(3)
        _until(life.qemu.has_ended, "the guest has ended")

    def teardown(self) -> None:
        try:
            if self.daemon is None:
                self.start_daemon()
            for life in self.lives:
                if life.end is None:
                    _until(functools.partial(self._is_watched, life), "the guest is watched")
                elif life.known or life.held:
                    _until(functools.partial(self._row, life), "the stop is recorded")
                    _until(life.qemu.has_ended, "a held qemu was let go")
            self._end_daemon(signal.SIGTERM)
            self._check()
        finally:
            self._clean_up()

    def _check(self) -> None:
        keys = [row[0] for row in self._select("SELECT key FROM stops")]
        pids = [row[0] for row in self._select("SELECT pid FROM stops")]
        assert len(keys) == len(set(keys))
        assert len(pids) == len(set(pids)), "a qemu's end was recorded twice"
        for life in self.lives:
            row = self._row(life)
            if life.end is None:
                assert row is None, "a running guest has a stop on record"
                continue
            if row is None:
                assert not life.known
                continue
            assert row in self._allowed(life), f"{life}: {row}"
        for name in {life.name for life in self.lives}:
            newest = [life for life in self.lives if life.name == name][-1]
            row = self._row(newest)
            wanted = newest.end is not None and row is not None and row.leaves_marker
            marker = self.ctrl / f"{name}.shutdown"
            if row is not None or newest.end is None:
                assert marker.exists() == wanted, f"{newest}: {row}"

    @staticmethod
    def _allowed(life: Life) -> set[Cause]:
        assert life.end is not None
        allowed = {life.end}
        if life.panicked and life.end not in (Cause.KILLED, Cause.CRASHED):
            allowed = {Cause.GUEST_PANIC}
        if life.unseen or not life.known:  # the daemon was away, or came too late
            allowed |= {Cause.UNKNOWN, Cause.GUEST_PANIC, Cause.USER_POWEROFF}
            if life.asked:
                allowed |= {Cause.ADMIN_SHUTDOWN}
        return allowed

    def _take_leave(self, life: Life) -> None:
        if self.daemon is None or not self._has_started() or not self._is_watched(life):
            life.unseen = True

    def _is_seen(self, life: Life) -> bool:
        """Tell whether what it does now will be seen: the daemon is attached to it."""
        if self.daemon is None:
            return False
        _until(lambda: self._is_watched(life), "the guest is watched")
        life.known = True
        return True

    def _started_lines(self) -> int:
        log = self.root / "log"
        return log.read_text().count("INFO started") if log.exists() else 0

    def _has_started(self) -> bool:
        """Tell whether this daemon has got so far as to replace what the last one wrote."""
        return self._started_lines() >= self.starts

    def _is_watched(self, life: Life) -> bool:
        if self.daemon is not None and not self._has_started():
            return False
        rows = self._select("SELECT attached FROM watched WHERE pid = ?", life.qemu.pid)
        return bool(rows) and rows[0][0] == 1

    def _row(self, life: Life) -> Cause | None:
        rows = self._select("SELECT cause FROM stops WHERE pid = ?", life.qemu.pid)
        return Cause(str(rows[0][0])) if rows else None

    def _select(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        if not self.journal.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)) as db:
            try:
                return db.execute(statement, values).fetchall()
            except sqlite3.OperationalError:  # not set up yet
                return []

    def _clean_up(self) -> None:
        if self.daemon is not None:
            os.kill(self.daemon, signal.SIGKILL)
            os.waitpid(self.daemon, 0)
        for life in self.lives:
            life.qemu.close()
        shutil.rmtree(self.root)


TestRecordedOnce = RecordedOnce.TestCase
TestRecordedOnce.settings = settings(
    max_examples=40,
    phases=[Phase.explicit, Phase.generate],  # each step waits for real processes: no shrinking
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
