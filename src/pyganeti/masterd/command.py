"""The command ``ganeti-masterd``: flags as Ganeti's master daemons have them."""

import os
import sys

import click

import pyganeti
from pyganeti.base import errors, log, paths
from pyganeti.masterd import settings
from pyganeti.metrics import address as addresses

_CONTEXT = {"help_option_names": ["-h", "--help"]}
_QUESTION = """\
The 'no voting' option has been selected. This is dangerous: it starts this node's master daemon
without asking the other nodes whether it is the master. With two masters at once the cluster's
configuration and queue are lost. Make sure that no other master runs.
Continue?"""


@click.command(context_settings=_CONTEXT)
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
    "--no-voting",
    is_flag=True,
    help="Do not ask the other nodes who the master is. Dangerous; asks whether you mean it.",
)
@click.option("--yes-do-it", is_flag=True, help="Yes, --no-voting is meant.")
@click.option(
    "--metrics",
    metavar="ADDRESS:PORT|off",
    default=str(addresses.default(addresses.MASTERD_PORT)),
    show_default=True,
    help="Where Prometheus finds /metrics, over plain HTTP.",
)
@click.option(
    "--convert-to",
    metavar="FILE",
    help="Move the cluster to the etcd that FILE names, or to 'files', and end."
    " gnt-cluster convert-store does it.",
)
def main(
    *,
    foreground: bool,
    debug: bool,
    syslog: log.Syslog,
    no_voting: bool,
    yes_do_it: bool,
    metrics: str,
    convert_to: str | None,
) -> None:
    """Coordinate the cluster: keep its configuration and its job queue, and carry jobs out.

    Runs on the master node only, which it has the other nodes confirm first. Stopping it leaves
    the instances as they are.
    """
    if no_voting and not yes_do_it:
        if not sys.stdin.isatty():
            raise click.UsageError("--no-voting needs a yes on a terminal, or --yes-do-it")
        click.confirm(_QUESTION, abort=True)
    try:
        layout = paths.Paths.from_environment(os.environ)
        address = addresses.parse(metrics)
    except errors.Failure as error:
        raise click.ClickException(str(error)) from error
    if convert_to is not None:
        from pyganeti.masterd import converting

        raise SystemExit(converting.run(layout, convert_to))
    from pyganeti.masterd import app

    code = app.run(
        settings.Settings(
            layout=layout,
            foreground=foreground,
            debug=debug,
            syslog=syslog,
            voting=not no_voting,
            metrics=address,
        )
    )
    raise SystemExit(code)


if __name__ == "__main__":
    main()
