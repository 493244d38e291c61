"""The sub-command ``gnt-job list``."""

import click

from pyganeti.cli import completing, listing, session
from pyganeti.cli.job import selecting

USUAL = ("id", "status", "summary")
_KINDS = {
    "received_ts": "timestamp",
    "start_ts": "timestamp",
    "end_ts": "timestamp",
    "opstart": "timestamps",
    "opexec": "timestamps",
    "opend": "timestamps",
}


@click.command()
@click.argument("jobs", nargs=-1, shell_complete=completing.jobs)
@click.option("--pending", "states", flag_value="queued,waiting,canceling", default=None,
              help="Only those that have not begun.")  # fmt: skip
@click.option("--running", "states", flag_value="running", help="Only those that run.")
@click.option("--error", "states", flag_value="error", help="Only those that failed.")
@click.option("--finished", "states", flag_value="canceled,success,error",
              help="Only those that have ended.")  # fmt: skip
@click.option("--archived", is_flag=True, help="Archived ones, too; slow where there are many.")
@listing.options(what="job")
@click.pass_obj
def command(
    current: session.Session,
    *,
    jobs: tuple[str, ...],
    states: str | None,
    archived: bool,
    look: listing.Look,
) -> int:
    """List jobs and how they stand: all, those given by number, or those that a filter matches."""
    usual = [*USUAL, "archived"] if archived else list(USUAL)
    return listing.show(
        current,
        "job",
        jobs,
        usual,
        look,
        field="id",
        numeric=True,
        besides=selecting.of_states(states.split(",") if states else None),
        kinds=_KINDS,
    )
