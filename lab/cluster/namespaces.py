"""Processes, mounts, network and host name of their own: what makes a part of this machine a node.

A `Namespace` lives as long as its first process (`lab.cluster.init`), and everything in it ends
with that: on `Namespace.end`, at its time limit, and when the laboratory is killed. Nothing of it
is to be seen outside: no interface, no address, no mount; so there may be any number at once, and
all may use the same addresses. What is on disk is not its business.

Needs root, or what passes for it: see `become_root`.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from lab import qemus
from lab.cluster import init

PATIENCE: Final = 20.0
"""How long any wait here lasts unless told otherwise, in seconds."""

_CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
_KINDS: Final = ("--net", "--mount", "--uts", "--ipc", "--pid", "--time")
_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"

# $1 is the host name, $2 a file for /etc/hosts, $3 one that says which boot this is.
_PREPARE: Final = f"""
mount --rbind /sys/fs/cgroup /mnt
mount -t sysfs sysfs /sys
mount --rbind /mnt /sys/fs/cgroup
umount --recursive --lazy /mnt
hostname "$1"
ip link set lo up
if [ -n "$2" ]; then mount --bind "$2" /etc/hosts; fi
if [ -n "$3" ]; then mount -t proc proc /proc; mount --bind "$3" {_BOOT_ID}; fi
shift 3
exec "$@"
"""


# $0 is where the command's words go.
_SPAWN: Final = 'setsid "$@" </dev/null >>"$0" 2>&1 & echo $!'


class NotMade(Exception):
    """A namespace could not be made, or something in it not be done; the message says why."""


class Namespace:
    """One set of namespaces; from construction to `end` there is a process in it.

    Its clocks say that the machine has booted just now. ``mounts_of`` is another whose mounts are
    to be seen here too; ``hosts`` and ``boot_id`` are files that are to be in the system's places.
    With a ``boot_id`` it sees its own processes only, like a machine; without, all.
    """

    def __init__(
        self,
        name: str,
        *,
        limit: float,
        mounts_of: "Namespace | None" = None,
        hosts: Path | None = None,
        boot_id: Path | None = None,
    ) -> None:
        self.name = name
        self.pid = 0
        there: list[str] = (
            [] if mounts_of is None else ["nsenter", f"--target={mounts_of.pid}", "--mount"]
        )
        files = ["" if path is None else str(path) for path in (hosts, boot_id)]
        first = [sys.executable, "-I", "-S", init.__file__, str(limit)]
        self._outer = subprocess.Popen(
            [
                *there,
                *("unshare", *_KINDS, f"--boottime={-_uptime()}", "--fork", "--kill-child", "--"),
                *("sh", "-ec", _PREPARE, name, name, *files, *first),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for whoever started us
            cwd="/",
        )
        try:
            self._wait_up()
            self.pid = self._find()
            self._network = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except BaseException:
            self._end()
            raise

    @property
    def alive(self) -> bool:
        """Whether its first process, and so anything in it, may still run."""
        return self._outer.poll() is None

    @property
    def prefix(self) -> list[str]:
        """The words before a command that make it run in here."""
        return ["nsenter", f"--target={self.pid}", *_KINDS, "--"]

    def run(
        self,
        *line: str | Path,
        environment: Mapping[str, str] | None = None,
        given: str = "",
        within: float = PATIENCE,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in here to its end, whatever its status."""
        return subprocess.run(
            [*self.prefix, *map(str, line)],
            input=given,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            env=None if environment is None else dict(environment),
            timeout=within,
            check=False,
        )

    def spawn(
        self, *line: str | Path, log: Path, environment: Mapping[str, str] | None = None
    ) -> int:
        """Start a command in here that goes on; return its process number outside.

        It ends with the namespace, if not before. ``log`` is a path in here.
        """
        begun = self.run("sh", "-ec", _SPAWN, log, *line, environment=environment)
        if begun.returncode:
            raise NotMade(f"{self.name}: {line[0]}: {begun.stderr.strip()}")
        outer = self.processes().get(int(begun.stdout))
        if outer is None:
            raise NotMade(f"{self.name}: {line[0]} ended at once; see {log}")
        return outer

    def configure(self, lines: Sequence[str]) -> None:
        """Have ``ip`` carry out lines in the network of this namespace; raises NotMade.

        Process numbers in the lines are those of outside.
        """
        entered = ["nsenter", f"--target={self.pid}", "--net", "--"]
        done = subprocess.run(
            [*entered, "ip", "-batch", "-"],
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            raise NotMade(f"{self.name}: ip: {done.stderr.strip()}")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Have this thread be in the network of the namespace; sockets made meanwhile stay in it.

        Of this thread only: others, and what a loop's executor does, are not.
        """
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_network(self._network)
            try:
                yield
            finally:
                _set_network(back)
        finally:
            os.close(back)

    def processes(self) -> dict[int, int]:
        """Return the processes in here: by their number in here, their number outside."""
        own = _namespace_of(self.pid)
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _namespace_of(int(entry.name)) == own:
                with contextlib.suppress(OSError):
                    found[_inner_number(entry)] = int(entry.name)
        return found

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all processes in here but the first."""
        inside = [outer for outer in self.processes().values() if outer != self.pid]
        # Who waits outside for a command in here stops with it, but does not go on with it.
        waiting = self._waiting() if number is signal.SIGCONT else []
        for outer in (*inside, *waiting):
            with contextlib.suppress(ProcessLookupError):
                os.kill(outer, number)

    def _waiting(self) -> list[int]:
        words = [word.encode() for word in self.prefix[:2]]
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if (entry / "cmdline").read_bytes().split(b"\0")[:2] == words:
                        found.append(int(entry.name))
        return found

    def end(self) -> None:
        """End everything in here; harmless if it has ended."""
        if self._network >= 0:
            os.close(self._network)
            self._network = -1
        self._end()

    def _end(self) -> None:
        for pipe in (self._outer.stdin, self._outer.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._outer.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._outer.kill()
            self._outer.wait()

    def _wait_up(self) -> None:
        said = b""
        output = self._outer.stdout
        while output is not None and qemus.readable(output.fileno(), PATIENCE):
            piece = os.read(output.fileno(), 4096)
            said += piece
            if said.endswith(init.UP):
                return
            if not piece:
                break
        raise NotMade(f"{self.name}: {said.decode(errors='replace').strip() or 'no word of it'}")

    def _find(self) -> int:
        outer = self._outer.pid
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        if len(children) != 1:
            raise NotMade(f"{self.name}: its first process has ended")
        return int(children[0])


def why_not() -> str:
    """Return why there can be no namespaces here, in words for a skipped test, or nothing."""
    if os.geteuid() != 0:
        return "needs root, for namespaces"
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    tried = subprocess.run(
        ["unshare", *_KINDS, "--fork", "--kill-child", "mount", "-t", "sysfs", "sysfs", "/sys"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return f"may have no namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


def become_root(module: str) -> None:
    """Begin this program anew as root of a user namespace, if a plain user runs it and may.

    In such a namespace everything that a node needs can be had but devices that only root may
    open, such as /dev/net/tun in most places. Where it cannot be had this returns: see `why_not`.
    """
    if os.geteuid() == 0 or shutil.which("unshare") is None:
        return
    own = ["unshare", "--user", "--map-root-user", "--"]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode == 0:
        line = [*own, sys.executable, "-m", module, *sys.argv[1:]]
        os.execvp(line[0], line)  # noqa: S606 - the same program once more, no shell


def _uptime() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME))


def _set_network(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def _namespace_of(pid: int) -> int:
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino
    except OSError:
        return 0


def _inner_number(process: Path) -> int:
    for line in (process / "status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    raise ProcessLookupError(process.name)


_libc: Final = ctypes.CDLL(None, use_errno=True)
