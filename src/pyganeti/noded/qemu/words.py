"""What programs say when they fail, cut down to what a person wants to read in one line."""

import shutil
import signal
from collections.abc import Sequence
from typing import Final

SEARCHED: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT: Final = {"PATH": SEARCHED, "LC_ALL": "C"}
"""What the programs that a node runs find in theirs."""

_LONGEST: Final = 2000


def last(lines: Sequence[str] | bytes) -> str:
    """Return the last lines of a program's output as one, without what does not print."""
    if isinstance(lines, bytes):
        lines = lines.decode(errors="replace").splitlines()
    said = "; ".join(line.strip() for line in lines if line.strip())
    said = "".join(c if c.isprintable() else "?" for c in said)
    return said[-_LONGEST:].strip("; ") or "it says nothing"


def status(code: int | None) -> str:
    """Return how a program ended."""
    if code is None:
        return "it does not end"
    if code >= 0:
        return f"status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def program(name: str) -> str:
    """Return where a program is, empty if it is not installed."""
    return shutil.which(name, path=SEARCHED) or ""
