"""`make cluster`: nodes for a person to look around in, of which nothing stays."""

import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import qemus
from lab.cluster import namespaces

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.skipif(
        bool(namespaces.why_not() or qemus.why_not()),
        reason=namespaces.why_not() or qemus.why_not(),
    ),
    pytest.mark.xdist_group("system-cluster-command"),
]

ROOT = Path(qemus.__file__).parents[1]
MARK = "PYGANETI_CLUSTER_COMMAND"


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """There is no cluster here but the command's own."""


@pytest.fixture
def marked() -> Iterator[dict[str, str]]:
    mark = secrets.token_hex(8)
    yield {**os.environ, MARK: mark}
    qemus.wait_until(lambda: not _processes(mark), what="all processes to go")


def _processes(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return found


TOUR = """
set -e
. "$0"
guest count web1
on node1 gnt-instance migrate -f -n node2 web1 >&2
guest count web1
on node1 gnt-instance list --no-headers -o name,pnode,status web1
guest off web1
on node2 sh -c 'until ganeti-kvmd stops --json | grep user-poweroff; do sleep 0.1; done'
call node2 version
on node2 hostname
call node1 nonsense && exit 3
guest count web9 && exit 3
on node9 true && exit 3
on node1 gnt-instance remove -f web1 >&2
"""


def test_a_person_looks_around_and_nothing_is_left(marked: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "lab.cluster", "--nodes", "2"],
        cwd=ROOT,
        env=marked,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        said = ""
        while "Ctrl-C" not in said and (line := command.stdout.readline()):
            said += line
        file = re.search(r"\. (/\S+)", said)
        assert file is not None, said + command.stderr.read()
        for word in (
            "node1  192.0.2.1",
            "GANETI_ROOTDIR=",
            "ganeti-kvmd why",
            "# gnt-instance failover",
        ):
            assert word in said
        done = subprocess.run(
            ["sh", "-c", TOUR, file[1]],
            env=marked,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        os.killpg(command.pid, signal.SIGINT)
        assert command.wait(20) == 0
        assert "Nothing is left behind" in command.stderr.read()
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["1", "2"]
    assert lines[2].split() == ["web1", "node2.lab.example", "running"]
    assert "user-poweroff" in lines[3]
    assert lines[-2:] == ["3000000", "node2.lab.example"]
    assert "there is no such call" in done.stderr
    assert "web9 does not run" in done.stderr
    assert "usage: on node1|node2" in done.stderr
    assert not Path(file[1]).parent.exists()
