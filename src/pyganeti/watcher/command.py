"""The command ``ganeti-watcher``: flags as Ganeti's watcher has them, and those of the daemon."""

import asyncio
import os
from typing import Any

import click

import pyganeti
from pyganeti.base import durations, errors, log, paths
from pyganeti.metrics import address as addresses
from pyganeti.watcher import settings

_CONTEXT = {"help_option_names": ["-h", "--help"]}
_AGE = "6h"
_WAYS = ("daemon", "nodegroup", "pause", "goes_on", "info", "check_webhooks", "try_webhooks")


class _Time(click.ParamType[int]):
    """A time such as 30, 5m or 2h, in seconds."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:  # noqa: ANN401 - click's
        """Return the seconds."""
        if isinstance(value, int):
            return value
        try:
            return durations.seconds(str(value))
        except errors.BadInput as error:
            self.fail(str(error), param, ctx)


@click.command(context_settings=_CONTEXT)
@click.version_option(pyganeti.__version__, prog_name=settings.PROGRAM)
@click.option("--daemon", is_flag=True, help="Go on for ever: act as soon as something falls.")
@click.option("-f", "--foreground", is_flag=True, help="As a daemon: do not detach.")
@click.option("-d", "--debug", is_flag=True, help="Log more; in a pass to standard error too.")
@click.option(
    "--syslog",
    type=click.Choice(["no", "yes", "only"]),
    is_flag=False,
    flag_value="yes",
    default="no",
    help="Log to syslog as well, or only there.",
)
@click.option(
    "-A",
    "--job-age",
    type=_Time(),
    default=_AGE,
    show_default=True,
    metavar="AGE",
    help="Archive jobs that ended so long ago (30m, 6h, 2d).",
)
@click.option("--ignore-pause", is_flag=True, help="Act although the watcher is paused.")
@click.option(
    "--wait-children/--no-wait-children",
    default=True,
    show_default=True,
    help="End only when the passes over the node groups have ended.",
)
@click.option("--no-verify-disks", is_flag=True, help="Do not look at the disks.")
@click.option("--no-strict", is_flag=True, help="Do not look at the disks of groups at work.")
@click.option(
    "--rapi-ip",
    default=settings.RAPI_ADDRESS,
    show_default=True,
    metavar="IP",
    help="Where the REST interface listens.",
)
@click.option("--nodegroup", metavar="GROUP", help="Only a pass over this node group.")
@click.option("--detach", is_flag=True, hidden=True)
@click.option("--pause", type=_Time(), metavar="TIME", help="Have the watcher rest for a time.")
@click.option("--continue", "goes_on", is_flag=True, help="Have it go on.")
@click.option(
    "--metrics",
    metavar="ADDRESS:PORT|off",
    default=str(addresses.default(addresses.WATCHER_PORT)),
    show_default=True,
    help="As a daemon: where Prometheus finds /metrics, over plain HTTP.",
)
@click.option("--check-webhooks", is_flag=True, help="Say who gets webhooks, or what is wrong.")
@click.option("--try-webhooks", is_flag=True, help="Send each a test; say who took it.")
@click.option("--info", is_flag=True, help="Say whether it rests and runs, and when it last acted.")
def main(**flags: Any) -> None:  # noqa: ANN401 - options, as click hands them over
    """Put right what fell: daemons of this node and, on the master, the cluster's instances.

    Without --daemon it makes one pass and ends, for cron or a timer.
    """
    if sum(flags[way] not in {False, None} for way in _WAYS) > 1:
        raise click.UsageError(
            "--daemon, --nodegroup, --pause, --continue, --info, --check-webhooks and"
            " --try-webhooks exclude each other"
        )
    if flags["foreground"] and not flags["daemon"]:
        raise click.UsageError("--foreground is for --daemon")
    try:
        layout = paths.Paths.from_environment(os.environ)
        metrics = addresses.parse(flags["metrics"])
        if flags["check_webhooks"]:
            from pyganeti.watcher.telling import receivers

            for line in receivers.check(layout.config_dir / receivers.FILE):
                click.echo(line)
            return
        if flags["try_webhooks"]:
            raise SystemExit(_try_webhooks(layout))
        if flags["pause"] is not None or flags["goes_on"] or flags["info"]:
            raise SystemExit(_pause(layout, flags["pause"], goes_on=flags["goes_on"]))
    except errors.Failure as error:
        raise click.ClickException(str(error)) from error
    chosen = settings.Settings(
        layout=layout,
        rounds=settings.Rounds(
            job_age=flags["job_age"],
            rapi_address=flags["rapi_ip"],
            verify_disks=not flags["no_verify_disks"],
            is_strict=not flags["no_strict"],
            ignores_pause=flags["ignore_pause"],
            waits=flags["wait_children"],
        ),
        metrics=metrics,
        foreground=flags["foreground"],
        debug=flags["debug"],
        syslog=flags["syslog"],
    )
    if flags["daemon"]:
        from pyganeti.watcher import app

        raise SystemExit(app.run(chosen))
    raise SystemExit(_pass(chosen, flags["nodegroup"], detach=flags["detach"]))


def _try_webhooks(layout: paths.Paths) -> int:
    """Send each webhook a test; return the exit code: 1 if one did not take it."""
    from pyganeti.base import ssconf
    from pyganeti.watcher.telling import receivers, trying

    cluster = (ssconf.read(layout, "cluster_name") or "").strip()
    told = asyncio.run(trying.tell_all(layout.config_dir / receivers.FILE, cluster))
    for _, line in told:
        click.echo(line)
    if not told:
        click.echo("no webhooks")
    return 0 if all(is_taken for is_taken, _ in told) else 1


def _pause(layout: paths.Paths, seconds: int | None, *, goes_on: bool) -> int:
    """Have the watcher rest or go on, or tell how it is; return the exit code."""
    from pyganeti.clients import luxi
    from pyganeti.watcher import pausing

    try:
        if goes_on:
            click.echo(pausing.go_on(layout))
        elif seconds is not None:
            click.echo(pausing.pause(layout, seconds))
        else:
            for line in pausing.told(layout):
                click.echo(line)
    except errors.Failure as error:
        click.echo(f"{settings.PROGRAM}: {error}", err=True)
        return luxi.exit_code(error)
    return 0


def _pass(chosen: settings.Settings, group: str | None, *, detach: bool) -> int:
    """Make one pass, over one node group or all there is to do; return the exit code."""
    from pyganeti.base import daemon as detaching

    if detach:
        detaching.detach().ready()
    log.configure(
        program=settings.PROGRAM,
        foreground=chosen.debug and not detach,
        debug=chosen.debug,
        syslog=chosen.syslog,
        file=chosen.log_file,
    )
    if group is None:
        from pyganeti.watcher import passing

        return asyncio.run(passing.make(chosen))
    from pyganeti.watcher import grouppass

    return asyncio.run(grouppass.make(chosen, group))


if __name__ == "__main__":
    main()
