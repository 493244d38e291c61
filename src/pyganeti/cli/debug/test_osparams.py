"""The sub-command ``gnt-debug test-osparams``."""

from typing import Any

import click

from pyganeti.cli import following, options, params, session
from pyganeti.model.opcodes import testing


@click.command("test-osparams")
@click.option(
    "--os-parameters-secret",
    "secret",
    type=params.SETTINGS,
    required=True,
    help="What is to arrive; it is shown, so make it up.",
)
@options.job()
@click.pass_obj
def command(current: session.Session, *, secret: dict[str, Any], how: options.How) -> None:
    """See whether secret OS parameters arrive where they are used."""
    following.do(current, [testing.TestOsParams(osparams_secret=secret)], how)
