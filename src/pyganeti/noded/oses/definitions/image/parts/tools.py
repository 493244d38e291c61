"""Runs the tools that the scripts need, and says in their own words why one failed."""

import shutil
import subprocess
from collections.abc import Sequence

from .parameters import Wrong

PACKAGES = {
    "qemu-img": "qemu-utils",
    "qemu-io": "qemu-utils",
    "sfdisk": "fdisk",
    "xorriso": "xorriso",
}
"""Where Debian has them."""


def has(tool: str) -> bool:
    """Tell whether a tool is installed."""
    return shutil.which(tool) is not None


def run(line: Sequence[str], *, stdin: str = "", descriptors: Sequence[int] = ()) -> str:
    """Run a tool; return what it wrote. Raises Wrong if it fails or is not there."""
    tool = line[0]
    if not has(tool):
        package = f" (Debian package {PACKAGES[tool]})" if tool in PACKAGES else ""
        raise Wrong(f"{tool} is not installed on this node{package}")
    ended = subprocess.run(
        list(line),
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        pass_fds=tuple(descriptors),
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
    )
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip() or f"exit status {ended.returncode}"
        raise Wrong(f"{tool} failed: {said}")
    return ended.stdout
