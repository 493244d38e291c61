"""Real qemus, started as a node's daemon starts them: daemonized, nobody's child, with sockets.

`Qemus` owns one fresh directory, laid out below it as Ganeti's (``kvm-hypervisor/ctrl/NAME.kvmd``,
``NAME.qmp``, ``NAME.serial``, ``kvm-hypervisor/pid/NAME``), so that a daemon given it as
``GANETI_ROOTDIR`` finds everything. Two nodes are two `Qemus`.

Everything started here ends with the ``with`` block, also when the block fails, and by the
guardian when the whole program is killed or its time limit is over. A process is only ever killed
when its number and its start time are those of the one that was started.

    with qemus.Qemus() as node:
        web1 = node.start("web1", guests.polite())
        web1.say(guests.Command.POWER_OFF)
        web1.wait_ended()
"""

import contextlib
import itertools
import os
import select
import shutil
import signal
import socket
import string
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from lab import guardian, guarding, memorygroups, qmpclient
from pyganeti.base import pidfd, processes

PATIENCE: Final = 10.0
"""How long any wait here lasts unless told otherwise, in seconds."""

LIMIT: Final = 600.0
"""How long the qemus of one `Qemus` may live at most, in seconds."""

PROGRAM: Final = "qemu-system-x86_64"

_START_LIMIT: Final = 30.0
_PAUSE: Final = 0.005
_PROBE: Final = 0.2

# $0 is the control group's list of processes, or empty; no core files are to litter the disk.
_WRAPPER: Final = 'ulimit -c 0; if [ -n "$0" ]; then echo $$ >"$0" || exit 99; fi; exec "$@"'


class Failed(Exception):
    """Qemu did not start; the message is its own."""


@dataclass(frozen=True, slots=True)
class Machine:
    """How a qemu is set up. The defaults are what Ganeti's noded would choose."""

    hold: bool = False
    """Stay, in status ``shutdown``, when the guest powers off (``-action shutdown=pause``)."""
    no_reboot: bool = False
    """End on a reset (``-no-reboot``)."""
    on_panic: Literal["", "pause", "shutdown", "exit-failure", "none"] = ""
    on_watchdog: Literal["", "reset", "shutdown", "poweroff", "pause", "none"] = ""
    pvpanic: bool = False
    watchdog: bool = False
    """Plug in an ib700."""
    debug_exit: bool = False
    incoming: bool = False
    """Wait for a migration; see `Qemu.migrate_to`."""
    paused: bool = False
    """Do not run the guest until ``cont`` (``-S``)."""
    snapshots: bool = False
    """Boot from qcow2, which ``savevm`` needs."""
    memory: int = 4
    """MiB."""
    accelerator: str = "tcg,tb-size=4"
    """``kvm:tcg`` where hardware may help; the translation cache is kept small for large N."""
    sockets: tuple[str, ...] = (".qmp", ".kvmd")
    """Endings of the QMP sockets' names; `Qemu.qmp` talks on the first."""
    run_as: str = ""
    """A user to become once all is open (``-runas``), as Ganeti's security model does."""
    group: Path | None = None
    """A control group's directory to start in."""
    extra: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Return the part of the command line that is the same for every name."""
        line = ["-M", "pc", "-m", str(self.memory), "-accel", self.accelerator]
        line += ["-display", "none", "-nodefaults", "-no-user-config"]
        for wanted, words in (
            (self.hold, ["-action", "shutdown=pause"]),
            (self.no_reboot, ["-no-reboot"]),
            (bool(self.on_panic), ["-action", f"panic={self.on_panic}"]),
            (bool(self.on_watchdog), ["-action", f"watchdog={self.on_watchdog}"]),
            (self.pvpanic, ["-device", "pvpanic"]),
            (self.watchdog, ["-device", "ib700"]),
            (self.debug_exit, ["-device", "isa-debug-exit"]),
            (self.incoming, ["-incoming", "defer"]),
            (self.paused, ["-S"]),
            (bool(self.run_as), ["-runas", self.run_as]),
        ):
            if wanted:
                line += words
        return [*line, *self.extra]


PLAIN: Final = Machine()


class Qemu:
    """One started qemu: its process, its sockets and its guest."""

    def __init__(self, node: "Qemus", name: str, pid: int, machine: Machine) -> None:
        self.node = node
        self.name = name
        self.pid = pid
        self.machine = machine
        self.descriptor = os.pidfd_open(pid)
        self.ticks = guardian.start_ticks(pid) or 0
        self._administrator: qmpclient.Client | None = None
        self._serial: socket.socket | None = None
        # Each another letter, so that a late echo of the one before is not taken for its own.
        self._probes = itertools.cycle(string.ascii_lowercase)

    def __repr__(self) -> str:
        return f"Qemu({self.name!r}, pid={self.pid}, alive={self.alive})"

    def path(self, suffix: str) -> Path:
        """Return the path of one of its files in the control directory, such as ``.kvmd``."""
        return self.node.ctrl_dir / (self.name + suffix)

    @property
    def pid_file(self) -> Path:
        """The file that holds its process number as long as it runs in order."""
        return self.node.pid_dir / self.name

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return not readable(self.descriptor, 0)

    @property
    def left_behind(self) -> set[str]:
        """Which of its files are still there: socket suffixes, and ``pid`` for the pid file.

        QEMU 7.2 removes them when it ends in order, but not with `Machine.run_as`, when it may
        no longer; nor when it exits in the middle (isa-debug-exit: all but the pid file).
        """
        there = {suffix for suffix in self.machine.sockets if self.path(suffix).exists()}
        return there | ({"pid"} if self.pid_file.exists() else set())

    def qmp(self) -> qmpclient.Client:
        """Return the administrator's connection, made on first use.

        Events are only known from then on: call it before what is to be observed.
        """
        if self._administrator is None:
            self._administrator = qmpclient.Client(self.path(self.machine.sockets[0]))
        return self._administrator

    def say(self, letter: str, *, within: float = PATIENCE) -> None:
        """Send a `guests.Command`, or another letter, and wait for the guest's echo.

        Once it returns the guest has the command and is about to obey. An end of the qemu
        counts as an echo. A letter sent while a guest boots waits for it, but is lost when it
        boots again after a reset: then `wait_up` first.
        """
        if not self._hears(letter, within):
            raise TimeoutError(f"{self!r} does not echo {letter!r} within {within} s")

    def wait_up(self, *, within: float = PATIENCE) -> Self:
        """Wait until the guest has booted and listens."""
        deadline = time.monotonic() + within
        while not self._hears(next(self._probes), _PROBE):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{self!r} has not booted within {within} s")
        return self

    def _hears(self, letter: str, within: float) -> bool:
        deadline = time.monotonic() + within
        if self._serial is None:
            self._serial = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._serial.settimeout(within)
            self._serial.connect(str(self.path(".serial")))
        wanted = letter.encode()
        heard = b""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            self._serial.settimeout(within)
            self._serial.sendall(wanted)
            while wanted not in heard:
                left = deadline - time.monotonic()
                if left <= 0 or not readable(self._serial.fileno(), left):
                    return False
                piece = self._serial.recv(4096)
                if not piece:
                    break
                heard += piece
        return True

    def press_power_button(self) -> None:
        """Ask the guest to power down (``system_powerdown``)."""
        self.qmp().command("system_powerdown")

    def quit(self) -> None:
        """Tell qemu to end (``quit``)."""
        with contextlib.suppress(qmpclient.Ended):
            self.qmp().command("quit")

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal; ProcessLookupError if it has ended."""
        signal.pidfd_send_signal(self.descriptor, number)

    def migrate_to(self, other: "Qemu", *, within: float = PATIENCE) -> None:
        """Move the guest to a qemu that was started ``incoming``; wait until it runs there."""
        there = other.node.root / f"{other.name}.migration"
        other.qmp().command("migrate-incoming", uri=f"unix:{there}")
        self.qmp().command("migrate", uri=f"unix:{there}")
        wait_until(
            lambda: self.qmp().command("query-migrate").get("status") in ("completed", "failed"),
            within=within,
            what=f"the migration of {self.name}",
        )
        wait_until(
            lambda: other.qmp().status() == "running", within=within, what=f"{other.name} to run"
        )

    def wait_status(self, status: str, *, within: float = PATIENCE) -> None:
        """Wait for a run state, such as ``shutdown``."""
        wait_until(
            lambda: self.qmp().status() == status, within=within, what=f"{self.name} {status}"
        )

    def wait_ended(self, *, within: float = PATIENCE) -> None:
        """Wait until the process has ended, TimeoutError if it does not."""
        if not readable(self.descriptor, within):
            raise TimeoutError(f"{self!r} has not ended within {within} s")

    def wait_exit_status(self, *, within: float = PATIENCE) -> int:
        """Wait for the end and return the kernel's wait status.

        It is read from the zombie, or once its parent has reaped it from the kernel, which
        needs Linux 6.15; else TimeoutError.
        """
        self.wait_ended(within=within)

        def status() -> int | None:
            seen = processes.zombie_status(self.pid, self.ticks)
            return pidfd.exit_status(self.descriptor) if seen is None else seen

        deadline = time.monotonic() + within
        while (found := status()) is None:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"no exit status of {self!r} within {within} s")
            time.sleep(_PAUSE)
        return found

    def kill(self) -> None:
        """Kill the process with SIGKILL if it has not ended, and wait for that."""
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.wait_ended()

    def close(self) -> None:
        """Give back descriptors; the process is not touched."""
        if self._administrator is not None:
            self._administrator.close()
            self._administrator = None
        if self._serial is not None:
            self._serial.close()
            self._serial = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Qemus:
    """A node's directory and the qemus in it; a context manager that leaves nothing behind.

    ``user`` (a number) runs the qemus, and owns the directories, as somebody else: needs root.
    """

    def __init__(self, *, user: int | None = None, limit: float = LIMIT) -> None:
        self.user = user
        self.started: list[Qemu] = []
        self._limit = limit
        self.root = Path()

    def __enter__(self) -> Self:
        # Short: a socket's path has at most 107 bytes.
        self.root = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp"))
        self._guarded = guarding.Guarded(self.root, self._limit)
        try:
            self.root.chmod(0o755)
            for directory in (self.ctrl_dir, self.pid_dir, self.image_dir):
                directory.mkdir(parents=True)
                if self.user is not None:
                    os.chown(directory, self.user, self.user)
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    @property
    def run_dir(self) -> Path:
        """Ganeti's run directory below this root."""
        return self.root / "var/run/ganeti"

    @property
    def ctrl_dir(self) -> Path:
        """Where the sockets are."""
        return self.run_dir / "kvm-hypervisor/ctrl"

    @property
    def pid_dir(self) -> Path:
        """Where the pid files are."""
        return self.run_dir / "kvm-hypervisor/pid"

    @property
    def image_dir(self) -> Path:
        """Where the guests' disks are."""
        return self.root / "images"

    def environment(self) -> dict[str, str]:
        """Return what a daemon has to find in its environment to work below this root."""
        return {"GANETI_ROOTDIR": str(self.root), "GANETI_HOSTNAME": "node1.lab.example"}

    def start(self, name: str, sector: bytes, machine: Machine = PLAIN) -> Qemu:
        """Start a qemu; when it returns, the sockets listen and the guest is about to boot.

        Raises `Failed` with qemu's message.
        """
        image = self._make_image(name, sector, machine)
        kind = "qcow2" if machine.snapshots else "raw"
        pid_file = self.pid_dir / name
        # Not locked, since both sides of a migration have it open.
        line = [PROGRAM, *machine.arguments(), "-daemonize", "-pidfile", str(pid_file)]
        line += ["-name", f"guest={_escaped(name)}"]
        line += ["-drive", f"if=ide,format={kind},file={_escaped(image)},file.locking=off"]
        for number, suffix in enumerate((".serial", *machine.sockets)):
            path = _escaped(self.ctrl_dir / (name + suffix))
            line += ["-chardev", f"socket,id=c{number},path={path},server=on,wait=off"]
            line += ["-mon", f"chardev=c{number},mode=control"] if number else []
        line += ["-serial", "chardev:c0"]
        if self.user is not None:
            who = str(self.user)
            line = ["setpriv", "--reuid", who, "--regid", who, "--clear-groups", "--", *line]
        group = str(machine.group / "cgroup.procs") if machine.group else ""
        self._run(["sh", "-c", _WRAPPER, group, *line])
        try:
            pid = int(pid_file.read_text())
            qemu = Qemu(self, name, pid, machine)
        except (FileNotFoundError, ProcessLookupError) as error:
            raise Failed(f"{name}: it ended at once; start such a guest paused") from error
        self.started.append(qemu)
        return qemu

    def start_all(
        self, names: Sequence[str], sector: bytes, machine: Machine = PLAIN, *, at_once: int = 4
    ) -> list[Qemu]:
        """Start many qemus, so many at a time; return them in the order of their names."""
        with futures.ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda name: self.start(name, sector, machine), names))

    def memory_group(self, mebibytes: int) -> Path:
        """Make a control group with a memory limit, for `Machine.group`; it goes with the node."""
        group = memorygroups.create(mebibytes)
        self._guarded.remove(group)
        return group

    def guard(self, pid: int) -> None:
        """Have another process, such as the daemon under test, ended with this program too."""
        self._guarded.guard(pid)

    def release(self, pid: int) -> None:
        """Take a process out of the guardian's care, before it is reaped."""
        self._guarded.release(pid)

    def _make_image(self, name: str, sector: bytes, machine: Machine) -> Path:
        image = self.image_dir / f"{name}.raw"
        image.write_bytes(sector)
        if machine.snapshots:
            self._run(["qemu-img", "convert", "-O", "qcow2", str(image), f"{image}.qcow2"])
            image = Path(f"{image}.qcow2")
        if self.user is not None:
            os.chown(image, self.user, self.user)
        return image

    def _run(self, line: list[str]) -> None:
        done = subprocess.run(
            line,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_START_LIMIT,
            check=False,
            cwd="/",
        )
        if done.returncode:
            message = done.stderr.decode(errors="replace").strip()
            raise Failed(f"{line[-1]}: status {done.returncode}: {message}")

    def _leave(self) -> None:
        for qemu in self.started:
            with contextlib.suppress(OSError):
                qemu.signal(signal.SIGKILL)
        for qemu in self.started:
            qemu.close()
        # The guardian does the rest, as it would if this program were killed here.
        self._guarded.close()


def wait_until(
    holds: Callable[[], bool], *, within: float = PATIENCE, what: str = "a condition"
) -> None:
    """Wait until something holds; TimeoutError, naming ``what`` was waited for, if it does not."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {within} s for {what}")
        time.sleep(_PAUSE)


def readable(descriptor: int, within: float) -> bool:
    """Wait until a descriptor, whatever its number, can be read; tell whether it can."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(max(within, 0) * 1000))


def why_not(environment: Mapping[str, str] = os.environ) -> str:
    """Return why no qemu can be run here, in words for a skipped test, or nothing."""
    if shutil.which(PROGRAM, path=environment.get("PATH")) is None:
        return f"{PROGRAM} is not installed"
    return ""


def _escaped(value: Path | str) -> str:
    """Write a comma as qemu's option parser wants it."""
    return str(value).replace(",", ",,")
