"""The command ``ganeti-cleaner``."""

import asyncio
import os

import click

import pyganeti
from pyganeti.base import errors, paths
from pyganeti.cleaner import cleaning

_CONTEXT = {"help_option_names": ["-h", "--help"]}


@click.command(context_settings=_CONTEXT)
@click.version_option(pyganeti.__version__, prog_name=cleaning.PROGRAM)
@click.argument("part", type=click.Choice(cleaning.PARTS), required=False)
@click.option("-d", "--debug", is_flag=True, help="Log more, and to standard error too.")
@click.option("--dry-run", is_flag=True, help="Only say, on standard error, what would be removed.")
def main(*, part: cleaning.Part | None, debug: bool, dry_run: bool) -> None:
    """Remove what nobody needs any more: of a node, of a master, or of both.

    node: expired keys of transfers between clusters, files of passes of the watcher that are no
    longer made, what killed processes left, old stops. master: jobs archived for long.
    """
    try:
        layout = paths.Paths.from_environment(os.environ)
    except errors.Failure as error:
        raise click.ClickException(str(error)) from error
    codes = [
        asyncio.run(cleaning.clean(layout, one, dry_run=dry_run, debug=debug))
        for one in cleaning.PARTS
        if part in {None, one}
    ]
    raise SystemExit(max(codes))


if __name__ == "__main__":
    main()
