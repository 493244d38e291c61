"""A followed directory under mounts, spent inotify limits and denied permission, for real.

Each scenario runs in a child (directory_scenarios.py): mounts in a mount namespace and limits in
a user namespace of its own, so that nothing outlives it and nobody else is touched.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOUNTING = ["unshare", "--mount", "--propagation", "private"]
LIMITING = ["unshare", "--user", "--map-root-user"]


def _play(scenario: str, top: Path, within: list[str]) -> str:
    command = [sys.executable, "-m", "tests.integration.directory_scenarios", scenario, str(top)]
    done = subprocess.run(
        [*within, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.root
@pytest.mark.parametrize(
    "scenario", ["mounted_over", "parent_mounted_over", "appears_by_mount", "storm_of_mounts"]
)
def test_mounts_and_unmounts_are_noticed_without_a_tick(scenario: str, short_dir: Path) -> None:
    probe = subprocess.run(
        [*MOUNTING, "mount", "-t", "tmpfs", "none", str(short_dir)],
        capture_output=True,
        check=False,
    )
    if probe.returncode:
        pytest.skip(f"may not mount here: {probe.stderr.decode(errors='replace').strip()}")
    _play(scenario, short_dir, MOUNTING)


@pytest.mark.parametrize("scenario", ["no_instances", "no_watches", "watches_run_out"])
def test_spent_inotify_limits_are_said_once_and_bridged(scenario: str, short_dir: Path) -> None:
    probe = subprocess.run(
        [*LIMITING, "sh", "-c", "echo 100 > /proc/sys/user/max_inotify_watches"],
        capture_output=True,
        check=False,
    )
    if probe.returncode:
        pytest.skip(f"no user namespace here: {probe.stderr.decode(errors='replace').strip()}")
    said = _play(scenario, short_dir, LIMITING)
    assert said.count("inotify is not to be had") == 1, said
    assert said.count("inotify is to be had again") == 1, said


@pytest.mark.parametrize("scenario", ["denied", "unreadable_parent"])
def test_permission_denied_is_waited_out(scenario: str, short_dir: Path) -> None:
    if os.geteuid() == 0 and not shutil.which("unshare"):
        pytest.skip("needs util-linux")
    _play(scenario, short_dir, [])
