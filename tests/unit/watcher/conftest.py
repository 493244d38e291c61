"""A node on which small programs of the daemons' names stand in for what takes longer to start."""

import sys
from pathlib import Path

import pytest

from pyganeti.base import paths

NAME = "node1.example.com"

_DAEMON = """#!{python}
import fcntl, os, signal, sys, time
from pathlib import Path

name, behaviour = "{name}", Path("{behaviour}")
with Path("{starts}").open("a") as starts:
    starts.write(" ".join([name, *sys.argv[1:]]) + "\\n")
what = behaviour.read_text().strip() if behaviour.exists() else "run"
if what == "fail":
    sys.exit("cannot")
if what == "not needed":
    print("not needed here")
    sys.exit(0)
pid_file = Path(os.environ["GANETI_ROOTDIR"]) / "var/run/ganeti" / (name + ".pid")
if child := os.fork():  # one that was killed has left its file
    while not pid_file.exists() or pid_file.read_text().strip() != str(child):
        time.sleep(0.002)
    os._exit(0)
os.setsid()
null = os.open(os.devnull, os.O_RDWR)
for fd in (0, 1, 2):
    os.dup2(null, fd)
held = open(pid_file, "a+")
fcntl.flock(held, fcntl.LOCK_EX)
def leave(*_):
    pid_file.unlink()
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
held.truncate(0)
held.write(str(os.getpid()))
held.flush()
while True:
    time.sleep(99)
"""


class Node:
    """A node's files, the programs that stand for its daemons, and what they did."""

    def __init__(self, root: Path) -> None:
        self.layout = paths.Paths(root, NAME)
        self.starts_file = root / "starts"
        self.commands = root / "bin"
        self.commands.mkdir()
        self.starts_file.touch()
        for place in (self.layout.run_dir, self.layout.state_dir, self.layout.log_dir):
            place.mkdir(parents=True)
        self.layout.server_certificate.touch()
        self.say_master(NAME)

    def say_master(self, name: str) -> None:
        """Have this node be told who the master is."""
        new = self.layout.state_dir / "new"
        new.write_text(f"{name}\n")
        new.replace(self.layout.ssconf("master_node"))

    def install(self, daemon: str) -> None:
        """Put a daemon's command in place."""
        command = self.commands / daemon
        command.write_text(
            _DAEMON.format(
                python=sys.executable,
                name=daemon,
                behaviour=self.commands / f"{daemon}.behaviour",
                starts=self.starts_file,
            )
        )
        command.chmod(0o755)

    def have(self, daemon: str, behaviour: str) -> None:
        """Have a daemon's next starts go so: run, fail, not needed."""
        (self.commands / f"{daemon}.behaviour").write_text(behaviour)

    @property
    def starts(self) -> list[str]:
        """What was started, with its flags."""
        return self.starts_file.read_text().splitlines()


@pytest.fixture
def node(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node(short_dir)
    monkeypatch.setenv("PATH", f"{made.commands}:/usr/bin:/bin")
    monkeypatch.setattr("sys.argv", [str(made.commands / "ganeti-watcher")])
    monkeypatch.setenv("GANETI_ROOTDIR", str(short_dir))
    monkeypatch.setenv("GANETI_HOSTNAME", NAME)
    return made
