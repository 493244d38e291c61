"""The benchmarks run through, and leave nothing behind, however they end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.cluster import namespaces

ROOT = Path(__file__).parents[3]
LINE = [sys.executable, "-m", "lab.bench", "--peer", "none", "--sizes", "20", "--only"]


def processes_of(directory: Path) -> list[str]:
    """Return the command lines that name the directory."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                line = (entry / "cmdline").read_bytes()
                if os.fsencode(directory) in line:
                    found.append(line.decode(errors="replace"))
    return found


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_a_short_run_finds_its_figures_and_removes_everything(tmp_path: Path) -> None:
    disk, file = tmp_path / "disk", tmp_path / "found.json"
    disk.mkdir()
    line = [*LINE, "memory", "--only", "latency", "--quick"]
    subprocess.run(
        [*line, "--disk", disk, "--json", file],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=50,
    )
    found = {entry["key"]: entry for entry in json.loads(file.read_text())["figures"]}
    assert found["lost.20"]["pyganeti"]["median"] == 0
    assert 5 < found["pss.20"]["pyganeti"]["median"] < 64
    assert found["latency.p50.20"]["pyganeti"]["median"] > 0
    assert list(disk.iterdir()) == []
    assert processes_of(disk) == []


@pytest.mark.root
@pytest.mark.qemu
def test_a_node_daemon_is_measured_beside_bare_qemus(tmp_path: Path) -> None:
    if why_not := namespaces.why_not():
        pytest.skip(why_not)
    file = tmp_path / "found.json"
    line = [*LINE, "version", "--only", "starts", "--calls", "200", "--starts", "2"]
    subprocess.run(
        [*line, "--quick", "--json", file],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=50,
    )
    found = {entry["key"]: entry for entry in json.loads(file.read_text())["figures"]}
    for key in ("version.kept", "version.twenty.new", "start.one.ratio", "start.ten.bare"):
        assert found[key]["pyganeti"]["median"] > 0


def test_a_master_daemon_is_measured_at_its_socket(short_dir: Path) -> None:
    disk, file = short_dir / "disk", short_dir / "found.json"
    disk.mkdir()
    line = [*LINE, "jobs", "--quick", "--disk", str(disk), "--json", str(file)]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True, timeout=50)
    found = {entry["key"]: entry for entry in json.loads(file.read_text())["figures"]}
    for key in ("jobs.one", "jobs.many", "jobs.waiting.told"):
        assert found[key]["pyganeti"]["median"] > 0
    assert list(disk.iterdir()) == []
    assert processes_of(disk) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    running = subprocess.Popen(
        [*LINE, "idle", "--disk", tmp_path],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: any("--journal" in line for line in processes_of(tmp_path)), "a daemon")
        running.send_signal(number)
        running.wait(20)
        until(lambda: processes_of(tmp_path) == [], "the end of all processes")
        until(lambda: list(tmp_path.iterdir()) == [], "the removal of all files")
    finally:
        running.kill()
        running.wait()
