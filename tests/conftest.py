"""What every test may rely on: reasons for skipping, short paths, and a run that leaves nothing.

A test marked ``root`` or ``qemu`` is skipped, with the reason, where that is missing. Every
process that a test starts carries this run's token in its environment; when the run ends, each
one that is still there fails the run, named with the test that started it, and is killed. (A
process started with an emptied environment cannot be seen that way; whoever does that waits for
it himself.)
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says how busy the machine is: each test has its time limit anyway.
hypothesis.settings.register_profile("pyganeti", deadline=None)
hypothesis.settings.load_profile("pyganeti")

_TOKEN = "PYGANETI_TEST_RUN"  # noqa: S105 (a mark to recognise children by, not a secret)
_GRACE = 5.0


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, and say why."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root (mounts, cgroups, namespaces or the proc connector)")
    if item.get_closest_marker("qemu") and not shutil.which("qemu-system-x86_64"):
        pytest.skip("needs qemu-system-x86_64 (Debian package qemu-system-x86)")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of an ``xdist_group`` on one worker, so that they share what they make.

    xdist 3.8 marks them by a suffix to their ids, where pytest 9.2 does not look any more.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        names = sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")})
        suffix = f"@{'_'.join(names)}"
        if names and not item.nodeid.endswith(suffix):
            item._id = type(item._id).parse(item.nodeid + suffix)  # noqa: SLF001 - see above


@pytest.fixture(scope="session", autouse=True)
def no_process_left() -> Iterator[None]:
    """Fail the run, at its end, if processes that its tests started are still there."""
    token = secrets.token_hex(8)
    os.environ[_TOKEN] = token
    yield
    del os.environ[_TOKEN]
    mark = f"{_TOKEN}={token}".encode()
    deadline = time.monotonic() + _GRACE
    while (left := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        _kill(pid)
    if left:
        found = "\n".join(f"  {pid}: {story}" for pid, story in left.items())
        pytest.fail(f"tests left processes behind (now killed):\n{found}", pytrace=False)


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """Make a directory whose path is short enough for sockets (AF_UNIX allows 107 bytes).

    What is mounted beneath it when the test ends is unmounted, and fails the test.
    """
    path = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    yield path
    mounts = _mounts_beneath(path)
    for mount in reversed(mounts):
        subprocess.run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(path)
    if mounts:
        pytest.fail(f"left mounted (now unmounted): {mounts}", pytrace=False)


def _marked(mark: bytes) -> dict[int, str]:
    """Find the living processes that carry the mark: the pid, and who started what."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes().split(b"\0")
            if mark not in environ:
                continue
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
        tests = [item for item in environ if item.startswith(b"PYTEST_CURRENT_TEST=")]
        by = tests[0].partition(b"=")[2] if tests else b"a fixture"
        found[int(entry.name)] = f"{command.decode(errors='replace')}(from {by.decode()})"
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _mounts_beneath(path: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    points = [line.split()[4] for line in lines]
    return [point for point in points if point == str(path) or point.startswith(f"{path}/")]
