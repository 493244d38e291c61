"""The wheel that is installed on nodes: what is in it besides modules."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_IMAGE = "pyganeti/noded/oses/definitions/image"


def test_the_os_image_is_in_the_wheel_and_runs_without_the_rest(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=_ROOT, check=True, timeout=50, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    folder = tmp_path / "image"
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if entry.filename.startswith(f"{_IMAGE}/"):
                path = folder / entry.filename.removeprefix(f"{_IMAGE}/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(entry))
                path.chmod(entry.external_attr >> 16)
    for script in ("create", "export", "import", "rename", "verify"):
        assert os.access(folder / script, os.X_OK), script
    # As Ganeti's own node daemon runs it: nothing but this, and the system's Python.
    environment = {"PATH": "/sbin:/bin:/usr/sbin:/usr/bin", "OS_NAME": "image"}
    good = subprocess.run(
        [folder / "verify", "parameters"], env=environment, timeout=20, check=False,
        capture_output=True,
    )  # fmt: skip
    assert (good.returncode, good.stdout, good.stderr) == (0, b"", b"")
    wrong = subprocess.run(
        [folder / "create"], env=environment, timeout=20, check=False, capture_output=True
    )
    assert wrong.returncode == 1
    assert wrong.stderr == b"image: no image is named: the parameter image is its path\n"
    assert not list(folder.rglob("__pycache__"))
