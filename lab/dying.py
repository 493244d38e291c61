"""A ganeti-kvmd that kills itself with SIGKILL at one exact step of recording one guest's stop.

    python -m lab.dying NAME STEP [kvmd's own arguments]

The product has no switches for that. Here its code is run under a profiler's hook, which sees
every call and return in the modules that record, in the loop's thread and in the journal's, calls
into SQLite and the kernel included. Counting begins when the stop of the guest NAME is about to be
judged; at the STEP-th of these the process dies. Whoever tries 1, 2, 3, … until it lives on has
tried a crash between any two things that the daemon does.
"""

import itertools
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Final

from pyganeti.kvmd import command

_WATCHED: Final = frozenset(
    f"pyganeti.{name}"
    for name in (
        "base.files",
        "kvmd.judging.inquest",
        "kvmd.journal.journal",
        "kvmd.journal.journalfile",
        "kvmd.journal.rows",
        "kvmd.journal.upkeep",
        "kvmd.journal.writer",
        "kvmd.recording.marker",
        "kvmd.recording.recorder",
        "kvmd.watching.roster",
    )
)


class Death:
    """The hook; ``step`` counts from 1."""

    def __init__(self, name: str, step: int) -> None:
        self._name = name
        self._step = step
        self._steps = itertools.count(1)
        self._begun = False

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:  # noqa: ANN401 - any value
        """Take a step of any thread."""
        if frame.f_globals.get("__name__") not in _WATCHED:
            return
        if not self._begun:
            code = frame.f_code
            if code.co_name != "judge_at_once" or event != "call":
                return
            if frame.f_locals["guest"].name != self._name:
                return
            self._begun = True
        if next(self._steps) == self._step:
            what = getattr(arg, "__qualname__", "") if event.startswith("c_") else ""
            place = f"{frame.f_globals['__name__']}:{frame.f_lineno} {frame.f_code.co_name}"
            os.write(2, f"dies at step {self._step}: {place} {event} {what}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run the daemon."""
    hook = Death(sys.argv[1], int(sys.argv[2]))
    del sys.argv[1:3]
    threading.setprofile(hook)
    sys.setprofile(hook)
    command.main()


if __name__ == "__main__":
    main()
