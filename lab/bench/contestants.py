"""The daemons that are measured: our own, and Ganeti's where it is installed.

Each is started as it starts on a node, detached, and judged from outside: what it takes of the
processor and of memory as the kernel counts it, and what it leaves in the control directory.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from lab import guardian, qemus
from lab.bench import ground

PATIENCE: Final = 30.0
_HOSTNAME: Final = "node1.lab.example"
_PROCESS_CLOCK: Final = 2  # CPUCLOCK_SCHED of include/linux/posix-timers.h, for a whole process
_MODULE: Final = "pyganeti.kvmd.command"
_RESET_PEAK: Final = b"5"  # proc_pid_clear_refs(5)
_PEERS: Final = "usr/lib/ganeti/*/usr/sbin/ganeti-kvmd"

_IN_ITS_PLACE: Final = 'mount --bind "$0" /run && cd / && ulimit -n "$(ulimit -Hn)" && exec "$@"'
"""Ganeti's daemon knows the control directory by a fixed path only."""


class Failed(Exception):
    """A daemon did not start; the message is its own."""


class Contestant:
    """One running daemon; a context manager. See the subclasses for how it is started."""

    title: ClassVar[str]
    keeps_journal: ClassVar[bool]

    def __init__(self, place: ground.Ground, ctrl_dir: Path | None = None) -> None:
        self.place = place
        self.ctrl_dir = ctrl_dir or place.ctrl_dir
        self.pid = 0
        self._ticks: int | None = None

    def __enter__(self) -> Self:
        line = self._command()
        done = subprocess.run(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **self.place.environment, "GANETI_HOSTNAME": _HOSTNAME},
            timeout=PATIENCE,
            check=False,
            cwd="/",
        )
        if done.returncode:
            raise Failed(f"{self.title}: {done.stderr.decode(errors='replace').strip()}")
        qemus.wait_until(self._find, within=PATIENCE, what=f"the pid file of {self.title}")
        self._wait_ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                qemus.wait_until(lambda: not self.alive, within=5, what="the end of a daemon")
        if self._ticks is not None:
            guardian.kill(self.pid, self._ticks)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        if self._ticks is None or guardian.start_ticks(self.pid) != self._ticks:
            return False
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{self.pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
            return state not in (b"Z", b"X")
        return False

    @property
    def cpu(self) -> float:
        """Seconds of processor time that all its threads have used, to the nanosecond."""
        return cpu_of(self.pid)

    @property
    def journal(self) -> Path:
        """Where it records stops, if it does."""
        return self.place.root / "journal.sqlite"

    def memory(self) -> tuple[float, float]:
        """Return its share of memory (PSS) and all of what it has mapped (RSS), in MiB."""
        found = fields(Path(f"/proc/{self.pid}/smaps_rollup"))
        return found["Pss"] / 1024, found["Rss"] / 1024

    def reset_peak(self) -> float:
        """Begin to watch for the peak of its memory; return what it has now, in MiB."""
        Path(f"/proc/{self.pid}/clear_refs").write_bytes(_RESET_PEAK)
        return fields(Path(f"/proc/{self.pid}/status"))["VmRSS"] / 1024

    def peak(self) -> float:
        """Return the most memory it has had since `reset_peak`, in MiB."""
        return fields(Path(f"/proc/{self.pid}/status"))["VmHWM"] / 1024

    def wait_idle(self, *, within: float = PATIENCE) -> None:
        """Wait until it has done next to nothing for a third of a second."""
        deadline = time.monotonic() + within
        before = self.cpu
        while time.monotonic() < deadline:
            time.sleep(0.3)
            now = self.cpu
            if now - before < 0.003:
                return
            before = now

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _wait_ready(self) -> None:
        """Wait until it follows the directory, where its start does not say so."""

    def _find(self) -> bool:
        for path in (self.place.root / "var/run/ganeti").glob("*.pid"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(path.read_text())
                self._ticks = guardian.start_ticks(pid)
                self.pid = pid
        return self._ticks is not None


class Own(Contestant):
    """Our own daemon, journal and all."""

    title: ClassVar[str] = "pyganeti"
    keeps_journal: ClassVar[bool] = True

    def _command(self) -> list[str]:
        script = Path(sys.executable).with_name("ganeti-kvmd")
        program = [str(script)] if script.exists() else [sys.executable, "-m", _MODULE]
        return [*program, "--ctrl-dir", str(self.ctrl_dir), "--journal", str(self.journal)]


class Peer(Contestant):
    """Ganeti's daemon, in a mount namespace where the control directory is in its place."""

    title: ClassVar[str] = "Ganeti"
    keeps_journal: ClassVar[bool] = False
    program: ClassVar[Path] = Path()

    def _command(self) -> list[str]:
        root = self.place.root
        for directory in ("var/lib/ganeti", "var/log/ganeti"):
            (root / directory).mkdir(parents=True, exist_ok=True)
        for name, value in (
            ("hypervisor_list", "kvm"),
            ("enabled_user_shutdown", "True"),
            ("node_vm_capable", f"{_HOSTNAME}=True"),
        ):
            (root / f"var/lib/ganeti/ssconf_{name}").write_text(f"{value}\n")
        apart = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-Urm"]
        run_dir = str(self.ctrl_dir.parents[2])
        line = [*apart, "--propagation", "private", "sh", "-c", _IN_ITS_PLACE, run_dir]
        return [*line, str(self.program), "--no-user-checks"]

    def _wait_ready(self) -> None:
        log = self.place.root / "var/log/ganeti/kvm-daemon.log"
        words = b"kvm-hypervisor/ctrl"

        def follows() -> bool:
            with contextlib.suppress(OSError):
                return words in log.read_bytes()
            return False

        qemus.wait_until(follows, within=PATIENCE, what="Ganeti's daemon to follow the directory")


def find_peer(given: str) -> tuple[Path | None, str]:
    """Return Ganeti's program, or None and why there is none; ``given`` is a path or "none"."""
    if given == "none":
        return None, "not asked for"
    found = [Path(given)] if given else sorted(Path("/").glob(_PEERS))
    if not found or not os.access(found[-1], os.X_OK):
        return None, "the packages ganeti-3.0 and ganeti-haskell-3.0 are not installed"
    if shutil.which("unshare") is None:
        return None, "unshare is not installed"
    line = ["unshare", "--mount", "true"] if os.geteuid() == 0 else ["unshare", "-Urm", "true"]
    if subprocess.run(line, capture_output=True, check=False).returncode:
        return None, "mount namespaces are not allowed here"
    done = subprocess.run([found[-1], "--version"], capture_output=True, text=True, check=False)
    if done.returncode:
        return None, f"it does not run: {done.stderr.strip()}"
    return found[-1], done.stdout.partition("\n")[0].strip()


def cpu_of(pid: int) -> float:
    """Return the seconds of processor time that all threads of a process have used."""
    return time.clock_gettime((~pid << 3) | _PROCESS_CLOCK)


def fields(path: Path) -> dict[str, int]:
    """Return the lines of a file of /proc that are in kB, by their names."""
    found = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if len(words) == 2 and words[1] == "kB":
            found[name] = int(words[0])
    return found
