"""Why an instance's state is changed: the trail that comes with a call, kept for who asks later.

The trail lies as JSON in ``instance-reason/NAME``, where Ganeti's monitoring looks. A short form
of it, with the job's number, goes into the intents.
"""

import re
import time
from typing import Final, TypeAlias

import msgspec

from pyganeti.base import files, log
from pyganeti.noded.qemu import places
from pyganeti.wire import reasontrail

Trail: TypeAlias = list[tuple[str, str, int]]
"""Who, in which words, when (nanoseconds of the epoch), from the first cause to the last."""

_LOG = log.get(__name__)
_JOB: Final = re.compile(r"job=(\d{1,18})\b")
ACTED: Final = "gnt:noded"
"""Who acts, where it is us."""


def job(trail: Trail) -> int | None:
    """Return the number of the job that a trail comes from."""
    for _, text, _ in reversed(trail):
        found = _JOB.search(text)
        if found:
            return int(found[1])
    return None


def summary(trail: Trail, act: str) -> str:
    """Return the trail in one line: what was done, and who had it done.

    Who sat at the master daemon's socket is left to the job.
    """
    told = [f"{source} {text}".strip() for source, text, _ in trail if source != reasontrail.PEER]
    return f"{act}: " + ", ".join(told)


def store(where: places.Places, name: str, trail: Trail, act: str) -> None:
    """Keep the trail and that we acted on it. Blocks. A full disk costs the reason, no more."""
    whole = [*trail, (ACTED, act, time.time_ns())]
    try:
        files.write_atomically(where.reasons / name, msgspec.json.encode(whole), mode=0o644)
    except OSError as error:
        _LOG.warning("the reason cannot be kept", name=name, error=str(error))
