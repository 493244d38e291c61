"""The command ``ganeti-kvmd``: without a sub-command it is the daemon, with one it answers.

Heavy imports are made late: the daemon must not carry what only a person's question needs, nor a
question wait for the daemon's parts.
"""

import dataclasses
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

import pyganeti
from pyganeti.base import paths
from pyganeti.kvmd import settings

_Function = TypeVar("_Function", bound=Callable[..., Any])

_CONTEXT = {"help_option_names": ["-h", "--help"]}


def _place_options(function: _Function) -> _Function:
    """Add the options that say whose journal is asked, for use behind the sub-command too."""
    for option in (
        click.option(
            "--ctrl-dir", type=click.Path(path_type=Path), help="Ask about this directory."
        ),
        click.option("--journal", type=click.Path(path_type=Path), help="Read this journal."),
    ):
        function = option(function)
    return function


@click.group(invoke_without_command=True, context_settings=_CONTEXT)
@click.version_option(pyganeti.__version__, prog_name=settings.PROGRAM)
@click.option("-f", "--foreground", is_flag=True, help="Do not detach; log to standard error.")
@click.option("-d", "--debug", is_flag=True, help="Log more.")
@click.option(
    "--syslog",
    type=click.Choice(["no", "yes", "only"]),
    is_flag=False,
    flag_value="yes",
    default="no",
    help="Log to syslog as well, or only there.",
)
@click.option(
    "--ctrl-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Watch this directory of QMP sockets instead of the node's own; no cluster is needed.",
)
@click.option(
    "--socket-suffix",
    "suffixes",
    metavar="SUFFIX",
    multiple=True,
    help="How the sockets' names end, the preferred first. [default: .kvmd]",
)
@click.option(
    "--journal",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where stops are recorded.",
)
@click.option(
    "--powerdown-window",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    help="How long a pressed power button explains a power-off that nobody announced.",
)
@click.option(
    "--hooks-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Run the executables of this directory on every stop.",
)
@click.option(
    "--metrics-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write counters for Prometheus' text file collector here.",
)
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    default=settings.KEEP_DAYS,
    show_default=True,
    help="How long recorded stops are kept.",
)
@click.option(
    "--keep-rows",
    type=click.IntRange(min=1),
    default=settings.KEEP_ROWS,
    show_default=True,
    help="How many recorded stops are kept.",
)
@click.pass_context
def main(context: click.Context, /, **flags: Any) -> None:  # noqa: ANN401 - options, as click hands them over
    """Watch this node's KVM guests and record why each of them stops.

    Without a command it runs as a daemon. On a node of a cluster that does not ask for it, it says
    so and ends. With --ctrl-dir it watches any directory of QMP sockets, cluster or not.
    """
    context.obj = flags
    if context.invoked_subcommand is None:
        context.exit(_run(flags))


def _run(flags: dict[str, Any]) -> int:
    from pyganeti.base import errors, ssconf, systemd
    from pyganeti.kvmd import admission

    layout = paths.Paths.from_environment(os.environ)
    suffixes = tuple(flags["suffixes"]) or (settings.SUFFIX,)
    if any(not suffix or "/" in suffix for suffix in suffixes):
        raise click.BadParameter("a suffix is the end of a file name", param_hint="--socket-suffix")
    chosen = settings.locate(layout, flags["ctrl_dir"], flags["journal"])
    if chosen.is_default_place:
        try:
            refused = admission.refusal(functools.partial(ssconf.read, layout), layout.hostname)
        except errors.Failure as error:
            raise click.ClickException(str(error)) from error
        if refused is not None:
            click.echo(f"{settings.PROGRAM} is not needed: {refused}")
            systemd.notify(f"READY=1\nSTATUS=not needed: {refused}\nSTOPPING=1")
            return 0
    # The daemon uses no TLS, and the library for it would be a fifth of its memory.
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
    from pyganeti.kvmd import app

    return app.run(
        dataclasses.replace(
            chosen,
            suffixes=suffixes,
            powerdown_window=flags["powerdown_window"],
            hooks_dir=_absolute(flags["hooks_dir"]) or chosen.hooks_dir,
            metrics_file=_absolute(flags["metrics_file"]),
            keep_days=flags["keep_days"],
            keep_rows=flags["keep_rows"],
            foreground=flags["foreground"],
            debug=flags["debug"],
            syslog=flags["syslog"],
        )
    )


def _absolute(path: Path | None) -> Path | None:
    """Return the path as it is from anywhere: the daemon leaves the directory it was started in."""
    return None if path is None else Path(os.path.abspath(path))  # noqa: PTH100


if __name__ == "__main__":
    main()
