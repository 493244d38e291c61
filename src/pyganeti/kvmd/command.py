"""The command ``ganeti-kvmd``: without a sub-command it is the daemon, with one it answers.

Heavy imports are made late: the daemon must not carry what only a person's question needs, nor a
question wait for the daemon's parts.
"""

import contextlib
import dataclasses
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click import core

import pyganeti
from pyganeti.base import errors, paths
from pyganeti.kvmd import settings
from pyganeti.model import cause as causes

if TYPE_CHECKING:
    from pyganeti.clients import stopjournal

_Function = TypeVar("_Function", bound=Callable[..., Any])

_FOR_QUESTIONS = frozenset({"ctrl_dir", "journal"})
"""What may stand before a sub-command too."""

_CONTEXT = {"help_option_names": ["-h", "--help"]}


def _keeps(function: _Function) -> _Function:
    """Add the options that say which stops are kept."""
    for option in (
        click.option(
            "--keep-rows",
            type=click.IntRange(min=1),
            default=settings.KEEP_ROWS,
            show_default=True,
            help="How many recorded stops are kept.",
        ),
        click.option(
            "--keep-days",
            type=click.IntRange(min=1),
            default=settings.KEEP_DAYS,
            show_default=True,
            help="How long recorded stops are kept.",
        ),
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
@_keeps
@click.pass_context
def main(context: click.Context, /, **flags: Any) -> None:  # noqa: ANN401 - options, as click hands them over
    """Watch this node's KVM guests and record why each of them stops.

    Without a command it runs as a daemon. On a node of a cluster that does not ask for it, it says
    so and ends. With --ctrl-dir it watches any directory of QMP sockets, cluster or not.
    """
    context.obj = flags
    if context.invoked_subcommand is None:
        context.exit(_run(flags))
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is core.ParameterSource.COMMANDLINE and parameter.name not in _FOR_QUESTIONS:
            raise click.UsageError(
                f"{parameter.opts[-1]} is for the daemon, not for {context.invoked_subcommand}"
            )


def _run(flags: dict[str, Any]) -> int:
    from pyganeti.base import ssconf, systemd
    from pyganeti.kvmd import admission

    try:
        layout = paths.Paths.from_environment(os.environ)
    except errors.Failure as error:
        raise click.ClickException(str(error)) from error
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


def _asks(function: _Function) -> _Function:
    """Add the options that every question has; before the sub-command they are understood too."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="JSON lines, for programs."),
        click.option(
            "--journal",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Read this journal.",
        ),
        click.option(
            "--ctrl-dir",
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="Ask the journal of the daemon that watches this directory.",
        ),
    ):
        function = option(function)
    return function


def _located(context: click.Context, ctrl_dir: Path | None, journal: Path | None) -> Path:
    before: dict[str, Any] = context.find_root().obj or {}
    try:
        layout = paths.Paths.from_environment(os.environ)
    except errors.Failure as error:
        raise click.ClickException(str(error)) from error
    return settings.locate(
        layout, ctrl_dir or before.get("ctrl_dir"), journal or before.get("journal")
    ).journal


@contextlib.contextmanager
def _reader(journal: Path) -> "Iterator[stopjournal.Reader]":
    """Open the journal; whatever is wrong with it becomes one line and exit code 1."""
    from pyganeti.clients import stopjournal

    try:
        with stopjournal.Reader(journal) as reader:
            yield reader
    except errors.Failure as error:
        raise click.ClickException(str(error)) from error
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complete_name(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the names that are watched or on record, for the shell to complete."""
    from pyganeti.clients import stopjournal

    with contextlib.suppress(errors.Failure, OSError):
        ctrl_dir, journal = (context.params.get(key) for key in ("ctrl_dir", "journal"))
        with stopjournal.Reader(_located(context, ctrl_dir, journal)) as reader:
            known = {row.name for row in reader.watched()}
            known.update(row.name for row in reader.stops(limit=1000))
            return sorted(name for name in known if name.startswith(begun))
    return []


@main.command("list")
@_asks
@click.pass_context
def list_(
    context: click.Context, /, *, ctrl_dir: Path | None, journal: Path | None, as_json: bool
) -> None:
    """Show what is watched now and since when, and which sockets cannot be used yet."""
    from pyganeti.kvmd.asking import listing

    where = _located(context, ctrl_dir, journal)
    with _reader(where) as reader:
        running = settings.is_held(settings.lock_of(where))
        listing.show(reader, sys.stdout, running=running, now=time.time(), as_json=as_json)


@main.command()
@click.argument("name", required=False, shell_complete=_complete_name)
@click.option("--since", metavar="TIME", help="A time (2026-05-01, 2026-05-01T12:30) or age (2h).")
@click.option(
    "--cause",
    "wanted",
    multiple=True,
    type=click.Choice([str(cause) for cause in causes.Cause]),
    help="Only stops for this reason; may be repeated.",
)
@click.option("--limit", type=click.IntRange(min=1), help="No more than so many, the newest.")
@_asks
@click.pass_context
def stops(
    context: click.Context,
    /,
    *,
    name: str | None,
    since: str | None,
    wanted: tuple[str, ...],
    limit: int | None,
    ctrl_dir: Path | None,
    journal: Path | None,
    as_json: bool,
) -> None:
    """Show which guests stopped, oldest first: all, or those of one NAME."""
    from pyganeti.kvmd.asking import history
    from pyganeti.words import moments

    try:
        begin = None if since is None else moments.since(since, time.time())
    except errors.Failure as error:
        raise click.BadParameter(str(error), param_hint="--since") from error
    with _reader(_located(context, ctrl_dir, journal)) as reader:
        history.show(
            reader,
            sys.stdout,
            name=name,
            since=begin,
            wanted=[causes.Cause(cause) for cause in wanted],
            limit=limit,
            as_json=as_json,
        )


@main.command()
@click.argument("name", shell_complete=_complete_name)
@_asks
@click.pass_context
def why(
    context: click.Context,
    /,
    *,
    name: str,
    ctrl_dir: Path | None,
    journal: Path | None,
    as_json: bool,
) -> None:
    """Tell in plain words why the guest NAME last stopped. Exit code 1: nothing is on record."""
    from pyganeti.kvmd.asking import why as answer

    with _reader(_located(context, ctrl_dir, journal)) as reader:
        found = answer.show(reader, sys.stdout, name, now=time.time(), as_json=as_json)
    context.exit(0 if found else 1)


@main.command()
@click.option("--after", type=click.IntRange(min=0), help="Begin after the stop of this number.")
@_asks
@click.pass_context
def follow(
    context: click.Context,
    /,
    *,
    after: int | None,
    ctrl_dir: Path | None,
    journal: Path | None,
    as_json: bool,
) -> None:
    """Show each stop as it is recorded, until interrupted."""
    from pyganeti.kvmd.asking import history

    with (
        contextlib.suppress(KeyboardInterrupt),
        _reader(_located(context, ctrl_dir, journal)) as reader,
    ):
        history.follow(reader, sys.stdout, after=after, as_json=as_json)


@main.command()
@_keeps
@click.option("--dry-run", is_flag=True, help="Only say how many would be removed.")
@_asks
@click.pass_context
def prune(
    context: click.Context,
    /,
    *,
    keep_days: int,
    keep_rows: int,
    dry_run: bool,
    ctrl_dir: Path | None,
    journal: Path | None,
    as_json: bool,
) -> None:
    """Remove recorded stops that are too old or too many; the daemon, where it runs, does that."""
    from pyganeti.kvmd import pruning

    where = _located(context, ctrl_dir, journal)
    try:
        pruned = pruning.prune(
            where, keep_days=keep_days, keep_rows=keep_rows, now=time.time(), dry_run=dry_run
        )
    except errors.AlreadyRunning:
        click.echo(f"{settings.PROGRAM} runs, and does that by itself")
        return
    except errors.Failure as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(f'{{"pruned": {pruned}, "dry_run": {str(dry_run).lower()}}}')
    else:
        click.echo(f"{pruned} recorded stops {'would be' if dry_run else 'were'} removed")


if __name__ == "__main__":
    main()
