"""``gnt-job``: look at jobs, follow, cancel and archive them."""

from typing import Final, NoReturn

from pyganeti.cli import groups, program

_HERE: Final = "pyganeti.cli.job"

GROUP: Final = groups.LazyGroup(
    "gnt-job",
    {
        "list": (f"{_HERE}.list", "List jobs and how they stand."),
        "info": (f"{_HERE}.info", "Tell everything about jobs."),
        "watch": (f"{_HERE}.watch", "Follow a job and print what it says."),
        "cancel": (f"{_HERE}.cancel", "Cancel jobs that have not begun."),
        "wait": (f"{_HERE}.wait", "Wait until a job has ended, in silence."),
        "archive": (f"{_HERE}.archive", "Put ended jobs aside."),
        "autoarchive": (f"{_HERE}.autoarchive", "Put jobs aside that ended long ago."),
        "change-priority": (f"{_HERE}.change_priority", "Make jobs more or less urgent."),
        "list-fields": (f"{_HERE}.list_fields", "List what can be shown of jobs."),
    },
    doc="Look at the cluster's jobs, follow, cancel and archive them.",
    aliases={"show": "info"},
)


def main() -> NoReturn:
    """Run the command."""
    program.run(GROUP)
