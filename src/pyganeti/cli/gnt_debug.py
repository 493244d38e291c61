"""``gnt-debug``: look into the master daemon, and try it out."""

from typing import Final, NoReturn

from pyganeti.cli import groups, program

_HERE: Final = "pyganeti.cli.debug"

GROUP: Final = groups.LazyGroup(
    "gnt-debug",
    {
        "delay": (f"{_HERE}.delay", "Have a job wait."),
        "iallocator": (f"{_HERE}.iallocator", "Show what an allocator is asked, or answers."),
        "locks": (f"{_HERE}.locks", "Show locks: who holds them, who waits."),
        "submit-job": (f"{_HERE}.submit_job", "Submit jobs from files."),
        "test-jobqueue": (f"{_HERE}.test_jobqueue", "Try the job queue out."),
        "test-osparams": (f"{_HERE}.test_osparams", "See whether secret OS parameters arrive."),
    },
    doc="Look into the master daemon, and try it out.",
    aliases={"allocator": "iallocator"},
)


def main() -> NoReturn:
    """Run the command."""
    program.run(GROUP)
