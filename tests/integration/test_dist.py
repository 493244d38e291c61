"""Units, cron lines and log rotation: they are sound, and name what there is."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyganeti.base import paths

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "dist/systemd").iterdir())
COMMANDS = Path(sys.executable).parent
_INSTALLED = "/usr/local/sbin/"
_FIELD = r"[0-9*/,-]+"
_LINE = re.compile(rf"{_FIELD} {_FIELD} {_FIELD} {_FIELD} {_FIELD} root (.*)")


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    for unit in UNITS:
        text = unit.read_text().replace(_INSTALLED, f"{COMMANDS}/")
        text = re.sub("^Documentation=.*\n", "", text, flags=re.MULTILINE)  # pages not installed
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / unit.name for unit in UNITS)],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_name_what_there_is(unit: Path) -> None:
    text = unit.read_text()
    for command in re.findall(r"^ExecStart=(\S+)", text, re.MULTILINE):
        assert command.startswith(_INSTALLED)
        assert (COMMANDS / Path(command).name).exists()
    for page in re.findall(r"^Documentation=man:(\S+)\((\d)\)", text, re.MULTILINE):
        assert (ROOT / "docs/man" / ".".join(page)).exists()
    for other in re.findall(r"^Unit=(\S+)", text, re.MULTILINE):
        assert (ROOT / "dist/systemd" / other).exists()


def test_cron_lines_run_what_there_is() -> None:
    found = []
    for line in (ROOT / "dist/cron/ganeti").read_text().splitlines():
        if not line.strip() or line.startswith(("#", "PATH=")):
            continue
        match = _LINE.fullmatch(line)
        assert match, line
        words = match[1].replace(_INSTALLED, "").split()
        assert words[:2] == ["[", "-x"]
        assert words[3:5] == ["]", "&&"]
        assert words[2] == words[5]
        done = subprocess.run(
            [COMMANDS / words[5], *words[6:], "--help"],
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0
        found.append(words[5])
    assert set(found) == {"ganeti-watcher", "ganeti-cleaner"}


def test_rotation_tells_the_daemons_that_write() -> None:
    layout = paths.Paths()
    for snippet in (ROOT / "dist/logrotate").iterdir():
        text = snippet.read_text()
        assert re.search(f"^{layout.log_file(snippet.name)} ", text, re.MULTILINE)
        pid_file = str(layout.pid_file(snippet.name)).removeprefix("/var")
        assert pid_file.removesuffix(".pid") in text
