"""One member of an etcd cluster: a real etcd process that can be stopped, killed and frozen.

It runs on this machine's loopback, or on a machine of `lab.cluster`, where it goes with the power.
Its data stays where it is until the whole is removed, so that it can be started again. Whether it
is well is asked at a listener of its own, without TLS, that only its machine reaches.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from lab import guarding
from lab.cluster import machines
from lab.etcd import certificates

SERVER: Final = "etcd"
CONTROL: Final = "etcdctl"

PATIENCE: Final = 20.0
"""How long any wait here lasts unless told otherwise, in seconds."""

_PAUSE: Final = 0.02
_LOOK: Final = 1.0
_TOKEN: Final = "laboratory"  # noqa: S105 - by which members know that they belong together


class NotStarted(Exception):
    """A member ended before it was well; the message is its log."""


class Failed(Exception):
    """etcdctl did not do what it was asked; the message is its own."""


class Ground(ABC):
    """Where a member runs."""

    address: str
    directory: Path

    @abstractmethod
    def spawn(self, line: Sequence[str], log: Path) -> int:
        """Start a process that goes on; return its number."""

    @abstractmethod
    def ended(self, pid: int) -> None:
        """Take note that a process has ended."""

    @abstractmethod
    def run(self, line: Sequence[str], within: float) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""

    @abstractmethod
    def inside(self) -> contextlib.AbstractContextManager[None]:
        """Have sockets of this thread be made there."""


class Loopback(Ground):
    """The loopback of this machine."""

    address = "127.0.0.1"

    def __init__(self, directory: Path, guarded: guarding.Guarded) -> None:
        self.directory = directory
        self._guarded = guarded
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def spawn(self, line: Sequence[str], log: Path) -> int:
        """Start a process that goes on; return its number."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                start_new_session=True,
            )
        self._guarded.guard(process.pid)
        self._processes[process.pid] = process
        return process.pid

    def ended(self, pid: int) -> None:
        """Reap it."""
        self._guarded.release(pid)
        self._processes.pop(pid).wait(PATIENCE)

    def run(self, line: Sequence[str], within: float) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            line,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )

    def inside(self) -> contextlib.AbstractContextManager[None]:
        """Change nothing."""
        return contextlib.nullcontext()


class Inside(Ground):
    """A machine of `lab.cluster`."""

    def __init__(self, machine: machines.Machine) -> None:
        self.machine = machine
        self.address = machine.address
        self.directory = machine.root / "etcd"
        machine.seen(self.directory).mkdir(exist_ok=True)

    def spawn(self, line: Sequence[str], log: Path) -> int:
        """Start a process that goes on until the power is off; return its number outside."""
        return self.machine.spawn(*line, log=str(log.relative_to(self.machine.root)))

    def ended(self, pid: int) -> None:
        """Do nothing: the machine's first process reaps it."""

    def run(self, line: Sequence[str], within: float) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return self.machine.run(*line, within=within)

    def inside(self) -> contextlib.AbstractContextManager[None]:
        """Have sockets of this thread be made in its network."""
        return self.machine.namespace.entered()


class Member:
    """One member; `start` it first."""

    def __init__(
        self,
        name: str,
        ground: Ground,
        ports: tuple[int, int, int],
        *,
        options: Sequence[str] = (),
        shown: certificates.Files | None = None,
        client: certificates.Files | None = None,
    ) -> None:
        """Make one; ``ports`` are for clients, for other members, and for looking at it.

        With ``shown`` it talks TLS, and wants its clients to show the like of ``client``.
        """
        self.name = name
        self.ground = ground
        self.client_port, self.peer_port, self._health_port = ports
        self._options = tuple(options)
        self._shown = shown
        self._client = client
        self.data: Path = ground.directory / f"{name}.data"
        self.log_file: Path = ground.directory / f"{name}.log"
        self._pid: int | None = None
        self._ticks: int | None = None

    def __repr__(self) -> str:
        return f"Member({self.name!r})"

    @property
    def endpoint(self) -> str:
        """Where its clients reach it."""
        scheme = "http" if self._shown is None else "https"
        return f"{scheme}://{self.ground.address}:{self.client_port}"

    @property
    def peer(self) -> str:
        """Where other members reach it."""
        return f"http://{self.ground.address}:{self.peer_port}"

    @property
    def log(self) -> str:
        """What all its runs have logged."""
        with contextlib.suppress(FileNotFoundError):
            return self._seen(self.log_file).read_text(errors="replace")
        return ""

    # Its life.

    @property
    def pid(self) -> int | None:
        """Its process number outside; None if it does not run."""
        if self._pid is not None and _has_ended(self._pid, self._ticks):
            self._forget()
        return self._pid

    def start(self, everybody: Sequence["Member"], *, wait: bool = True) -> None:
        """Start it, as one of these, unless it runs; unless told not to, wait until it is well."""
        if self.pid is None:
            self._pid = self.ground.spawn([SERVER, *self._words(everybody)], self.log_file)
            self._ticks = _start_ticks(self._pid)
        if wait:
            self.wait_well()

    def stop(self) -> None:
        """End it in order, if it runs."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it, if it runs."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Have it stand still."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        self._send(signal.SIGCONT)

    # How it is.

    def is_well(self) -> bool:
        """Tell whether it answers, has a leader and no alarm."""
        return '"true"' in self._look("health")

    def leads(self) -> bool:
        """Tell whether it is the leader among the members."""
        return "\netcd_server_is_leader 1\n" in self._look("metrics")

    def wait_well(self, *, within: float = PATIENCE) -> None:
        """Wait until `is_well`; raises NotStarted if it ends before."""
        self.wait(self.is_well, "is well", within)

    def wait(self, holds: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
        """Wait until something holds, as long as it runs."""
        deadline = time.monotonic() + within
        while not holds():
            if self.pid is None:
                raise NotStarted(f"{self} has ended:\n{self.log[-4000:]}")
            if time.monotonic() >= deadline:
                raise TimeoutError(f"waited {within} s until {self} {what}:\n{self.log[-4000:]}")
            time.sleep(_PAUSE)

    def control(self, *words: str, within: float = PATIENCE) -> str:
        """Have etcdctl do something with this very member; return what it says. Raises Failed."""
        line = [CONTROL, f"--endpoints={self.endpoint}", "--command-timeout=10s"]
        if self._client is not None:
            line += [
                f"--cacert={self._client.authority}",
                f"--cert={self._client.certificate}",
                f"--key={self._client.key}",
            ]
        done = self.ground.run(["env", "ETCDCTL_API=3", *line, *words], within)
        if done.returncode:
            raise Failed(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def restore(self, snapshot: Path, everybody: Sequence["Member"]) -> None:
        """Have it be what a saved snapshot was, once it is started again; it must not run."""
        shutil.rmtree(self._seen(self.data))
        self.control(
            "snapshot",
            "restore",
            str(snapshot),
            f"--name={self.name}",
            f"--initial-cluster={_cluster(everybody)}",
            f"--initial-advertise-peer-urls={self.peer}",
            f"--data-dir={self.data}",
        )

    # How.

    def _words(self, everybody: Sequence["Member"]) -> list[str]:
        words = [
            f"--name={self.name}",
            f"--data-dir={self.data}",
            f"--listen-client-urls={self.endpoint}",
            f"--advertise-client-urls={self.endpoint}",
            f"--listen-peer-urls={self.peer}",
            f"--initial-advertise-peer-urls={self.peer}",
            f"--listen-metrics-urls=http://127.0.0.1:{self._health_port}",
            f"--initial-cluster={_cluster(everybody)}",
            f"--initial-cluster-token={_TOKEN}",
            "--log-outputs=stderr",
            "--logger=zap",
            *self._options,
        ]
        if self._shown is not None:
            words += [
                f"--cert-file={self._shown.certificate}",
                f"--key-file={self._shown.key}",
                f"--trusted-ca-file={self._shown.authority}",
                "--client-cert-auth",
            ]
        return words

    def _look(self, what: str) -> str:
        url = f"http://127.0.0.1:{self._health_port}/{what}"
        try:
            with self.ground.inside(), urllib.request.urlopen(url, timeout=_LOOK) as answer:
                return str(answer.read().decode())
        except (OSError, urllib.error.URLError):
            return ""

    def _send(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is None:
            raise ProcessLookupError(f"{self} does not run")
        os.kill(pid, number)

    def _end(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it may be reaped between the two
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + PATIENCE
        while self.pid is not None:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{self} does not end:\n{self.log[-4000:]}")
            time.sleep(_PAUSE / 10)

    def _forget(self) -> None:
        pid, self._pid = self._pid, None
        if pid is not None:
            self.ground.ended(pid)

    def _seen(self, path: Path) -> Path:
        return self.ground.machine.seen(path) if isinstance(self.ground, Inside) else path


def _cluster(everybody: Sequence[Member]) -> str:
    return ",".join(f"{member.name}={member.peer}" for member in everybody)


def _has_ended(pid: int, ticks: int | None) -> bool:
    """Tell whether a process is gone; a zombie is."""
    try:
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return True
    return words[0] in {b"Z", b"X"} or int(words[19]) != ticks


def _start_ticks(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except OSError:
        return None
