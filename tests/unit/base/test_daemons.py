import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyganeti.base import daemons, errors, paths

_STUBBORN = """
import fcntl, signal, sys, time
held = open(sys.argv[1], "w")
fcntl.flock(held, fcntl.LOCK_EX)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(99)
"""


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    layout = paths.Paths(tmp_path)
    layout.run_dir.mkdir(parents=True)
    return layout


@pytest.fixture
def stubborn(layout: paths.Paths) -> Iterator[subprocess.Popen[bytes]]:
    """Run what holds a daemon's pid file and does not end when told."""
    process = subprocess.Popen(
        [sys.executable, "-c", _STUBBORN, str(layout.pid_file("ganeti-kvmd"))],
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_what_holds_the_lock_is_the_daemon(layout: paths.Paths) -> None:
    assert daemons.running(layout, "ganeti-kvmd") is None
    with layout.pid_file("ganeti-kvmd").open("w") as held:
        assert daemons.running(layout, "ganeti-kvmd") is None
        fcntl.flock(held, fcntl.LOCK_EX)
        assert daemons.running(layout, "ganeti-kvmd") == os.getpid()


@pytest.mark.parametrize("content", ["", "nonsense", "0", "-1", "999999999", "1", "1\n"])
def test_a_stale_pid_file_is_nobody(content: str, layout: paths.Paths) -> None:
    layout.pid_file("ganeti-confd").write_text(content)
    assert daemons.running(layout, "ganeti-confd") is None


async def test_nobody_is_signalled_for_a_stale_file(layout: paths.Paths) -> None:
    layout.pid_file("ganeti-mond").write_text(f"{os.getpid()}\n")
    assert await daemons.stop(layout, "ganeti-mond")


async def test_a_daemon_that_does_not_end_is_said(
    layout: paths.Paths, stubborn: subprocess.Popen[bytes]
) -> None:
    assert daemons.running(layout, "ganeti-kvmd") == stubborn.pid
    assert not await daemons.stop(layout, "ganeti-kvmd", patience=0.1)
    assert stubborn.poll() is None


async def test_a_daemon_that_is_not_installed_is_said(
    layout: paths.Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(errors.Unavailable, match="not installed"):
        await daemons.start(layout, "ganeti-no-such")
