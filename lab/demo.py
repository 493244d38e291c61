"""Ends real guests, each in another way, and shows what ganeti-kvmd says of each: `make demo`.

Real qemus boot guests of 512 bytes below a private root, under a real daemon. Nothing outside that
temporary directory is touched, and nothing is left: not on success, not on failure, not on Ctrl-C,
not when this program is killed. Works for root and for plain users. Exit status: 0 if every verdict
was right, 1 if one was wrong, 2 if the demo cannot run here, 130 on Ctrl-C.

The milliseconds are those from the end (qemu's own timestamp of SHUTDOWN; if it left without one,
the end of the process) to the moment at which another process reads the verdict from the journal.
"""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from lab import daemons, demotable, guests, qemus
from pyganeti.base import errors, pidfd
from pyganeti.clients import stopjournal
from pyganeti.model import cause as causes
from pyganeti.model import stop as stops

DO = guests.Command
Cause = causes.Cause

_WINDOW: Final = 2.0
"""Seconds for which a pressed button explains a power-off: short, so that one can be outlived."""

_PATIENCE: Final = 10.0
_LOOK: Final = 0.001
_EXPLAINED: Final = "button"


@dataclass(slots=True)
class Scene:
    """One guest: what is done to it, what is to be said of it, and what is."""

    name: str
    done: str
    expected: Cause | None
    """None: it goes on, and nothing is to be recorded."""
    act: Callable[[qemus.Qemu], object]
    machine: qemus.Machine = qemus.PLAIN
    sector: bytes = guests.stubborn()
    is_unseen: bool = False
    """It ends while the daemon is dead."""
    says: str = ""
    marker: str = ""
    seconds: float | None = None
    right: bool | None = None

    @property
    def cells(self) -> tuple[str, str, str, str, str, str]:
        """The texts for the table."""
        verdict = "" if self.right is None else "right" if self.right else "WRONG"
        ms = "" if self.seconds is None else f"{self.seconds * 1000:.1f}"
        return (self.name, self.done, self.says, self.marker, verdict, ms)

    @property
    def is_complete(self) -> bool:
        """Whether it has been judged, and the judgement been judged."""
        return self.right is not None


class Journal:
    """Reads the journal while the daemon writes it, and notes when it first saw each stop."""

    def __init__(self, kvmd: daemons.Kvmd) -> None:
        self._kvmd = kvmd
        self._seen: dict[int, tuple[stops.Stop, float]] = {}
        self._news = threading.Condition()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the reading."""
        self._ended.set()
        self._thread.join(_PATIENCE)

    def wait(self, pid: int) -> tuple[stops.Stop, float] | None:
        """Return a qemu's stop and when it was seen (epoch seconds); None if none comes."""
        with self._news:
            self._news.wait_for(lambda: pid in self._seen, _PATIENCE)
            return self._seen.get(pid)

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                with stopjournal.Reader(self._kvmd.journal) as reader:
                    for stop in reader.follow(0, interval=_LOOK, ended=self._ended.wait):
                        with self._news:
                            self._seen.setdefault(stop.pid or 0, (stop, time.time()))
                            self._news.notify_all()
            except errors.Failure:  # the daemon has not made it yet
                self._ended.wait(_LOOK)


class Demo:
    """The scenes and what they are played with."""

    def __init__(self, node: qemus.Qemus, kvmd: daemons.Kvmd) -> None:
        self.scenes = _scenes(self)
        self._node = node
        self._kvmd = kvmd
        self._qemus: dict[str, qemus.Qemu] = {}
        self._show: demotable.Show = lambda: None
        self._pressed = 0.0

    def play(self) -> None:
        """Start all guests, end them, have every verdict judged."""
        journal = Journal(self._kvmd)
        try:
            with demotable.shown(self.scenes) as self._show:
                self._begin()
                for scene in self.scenes:
                    if not scene.is_unseen and scene.expected is not None:
                        self._end(scene, journal)
                self._end_unseen([s for s in self.scenes if s.is_unseen], journal)
                self._check_those_that_go_on()
        finally:
            journal.close()

    def press(self, qemu: qemus.Qemu) -> None:
        """Press the button of a guest that does not look."""
        qemu.press_power_button()
        self._pressed = time.monotonic()

    def outlive_the_button(self, qemu: qemus.Qemu) -> None:
        """Have the guest that ignored its button power itself off, a good while after."""
        over = self._pressed + _WINDOW
        qemus.wait_until(lambda: time.monotonic() > over, what="the button to be history")
        qemu.say(DO.POWER_OFF)

    def migrate(self, qemu: qemus.Qemu) -> None:
        """Move a guest to the qemu that waits for it, and end the one that it left."""
        qemu.migrate_to(self._qemus["arrives"])
        qemu.quit()

    def _begin(self) -> None:
        for scene in self.scenes:
            scene.says = "(starting)"
            self._show()
            qemu = self._node.start(scene.name, scene.sector, scene.machine)
            self._qemus[scene.name] = qemu
            scene.says = ""
        for scene in self.scenes:
            if not scene.machine.incoming:
                self._qemus[scene.name].wait_up()
        self._kvmd.wait_watching(*self._qemus.values())
        self.press(self._qemus["ignores"])

    def _end(self, scene: Scene, journal: Journal) -> None:
        qemu = self._qemus[scene.name]
        scene.act(qemu)
        with contextlib.suppress(TimeoutError):  # then nothing will be said of it
            qemu.wait_ended()
        self._judge(scene, journal, time.time())

    def _end_unseen(self, scenes: list[Scene], journal: Journal) -> None:
        self._kvmd.kill()
        for scene in scenes:
            scene.says = "(kvmd is dead)"
            self._show()
            scene.act(self._qemus[scene.name])
            self._qemus[scene.name].wait_status("shutdown")
        back = time.time()
        self._kvmd.start()
        for scene in scenes:
            self._judge(scene, journal, back)

    def _judge(self, scene: Scene, journal: Journal, ended_at: float) -> None:
        found = journal.wait(self._qemus[scene.name].pid)
        if found is None:
            scene.says, scene.right = "(nothing)", False
        else:
            stop, seen_at = found
            is_told = any(event.name == "SHUTDOWN" for event in stop.evidence.events)
            scene.seconds = seen_at - (
                stop.stopped if is_told and not scene.is_unseen else ended_at
            )
            scene.says = str(stop.cause)
            scene.right = stop.cause == scene.expected and self._has_right_marker(scene)
            if stop.cause is Cause.UNKNOWN and stop.evidence.exit is None:
                # Before Linux 6.15 a plain user cannot learn which signal it was.
                scene.right = scene.right or not pidfd.supported()
        self._show()

    def _has_right_marker(self, scene: Scene) -> bool:
        wanted = scene.expected is not None and scene.expected.leaves_marker
        deadline = time.monotonic() + 1.0
        while wanted and not self._kvmd.has_marker(scene.name) and time.monotonic() < deadline:
            time.sleep(_LOOK)
        is_there = self._kvmd.has_marker(scene.name)
        scene.marker = "yes" if is_there else "no"
        return is_there == wanted

    def _check_those_that_go_on(self) -> None:
        watched = self._kvmd.watched()
        for scene in self.scenes:
            if scene.expected is None:
                is_recorded = bool(self._kvmd.recorded(scene.name))
                is_watched = scene.name in watched and not is_recorded
                scene.says = "(goes on)" if is_watched else "(not watched)"
                scene.right = self._has_right_marker(scene) and is_watched
        self._show()


def _scenes(demo: Demo) -> list[Scene]:
    def told(letter: str) -> Callable[[qemus.Qemu], object]:
        return lambda qemu: qemu.say(letter)

    def sent(number: signal.Signals) -> Callable[[qemus.Qemu], object]:
        return lambda qemu: qemu.signal(number)

    machine = qemus.Machine
    return [
        Scene("off", "powers itself off", Cause.USER_POWEROFF, told(DO.POWER_OFF)),
        Scene(
            _EXPLAINED,
            "its power button is pressed, and it obeys",
            Cause.ADMIN_SHUTDOWN,
            lambda qemu: qemu.press_power_button(),
            sector=guests.polite(),
        ),
        Scene("quit", "its qemu is told to quit", Cause.ADMIN_QUIT, lambda qemu: qemu.quit()),
        Scene("term", "its qemu gets SIGTERM", Cause.HOST_SIGNAL, sent(signal.SIGTERM)),
        Scene("kill", "its qemu gets SIGKILL", Cause.KILLED, sent(signal.SIGKILL)),
        Scene("segv", "its qemu gets SIGSEGV", Cause.CRASHED, sent(signal.SIGSEGV)),
        Scene("panic", "panics", Cause.GUEST_PANIC, told(DO.PANIC), machine(pvpanic=True)),
        Scene(
            "reset",
            "resets itself, and its qemu ends on that",
            Cause.GUEST_REBOOT,
            told(DO.RESET),
            machine(no_reboot=True),
        ),
        Scene("sleep", "hibernates (S4)", Cause.USER_HIBERNATE, told(DO.HIBERNATE)),
        Scene("leaves", "is migrated to a second qemu", Cause.MIGRATED, demo.migrate),
        Scene("arrives", "is that second qemu", None, lambda _: None, machine(incoming=True)),
        Scene(
            "ignores",
            "ignores its power button, powers itself off later",
            Cause.USER_POWEROFF,
            demo.outlive_the_button,
        ),
        Scene(
            "unseen",
            "powers itself off while kvmd is dead, is held for it",
            Cause.USER_POWEROFF,
            told(DO.POWER_OFF),
            machine(hold=True),
            is_unseen=True,
        ),
    ]


def main() -> int:
    """Play the demo; return the exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    why_not = qemus.why_not()
    if why_not:
        print(f"The demo cannot run here: {why_not}", file=sys.stderr)
        return 2
    began = time.monotonic()
    try:
        with (
            qemus.Qemus(limit=90) as node,
            daemons.Kvmd(node, "--powerdown-window", str(_WINDOW)) as kvmd,
        ):
            demo = Demo(node, kvmd)
            demo.play()
            wrong = [scene for scene in demo.scenes if not scene.right]
            print(f"\n$ ganeti-kvmd why {_EXPLAINED}")
            print(kvmd.ask("why", _EXPLAINED).stdout)
            if wrong:
                print(f"The log of kvmd:\n{kvmd.log}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing is left behind.", file=sys.stderr)
        return 130
    seen = [s.seconds for s in demo.scenes if s.seconds is not None and not s.is_unseen]
    print(
        f"{len(demo.scenes)} guests: {len(demo.scenes) - len(wrong)} verdicts right, {len(wrong)}"
        f" wrong; the slowest took {max(seen, default=0) * 1000:.1f} ms, the whole demo"
        f" {time.monotonic() - began:.1f} s. Nothing is left behind."
    )
    return 1 if wrong else 0


def _leave(number: int, frame: object) -> NoReturn:
    del frame
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
