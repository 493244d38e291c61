"""The sub-command ``gnt-cluster manual``: pages for man(1), of what is installed.

Like completion it asks nobody, and Ganeti has none such.
"""

import importlib
from pathlib import Path

import click

import pyganeti
from pyganeti.base import files
from pyganeti.cli import groups, manual, session
from pyganeti.cli.cluster import completion

_MODE = 0o644


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.pass_obj
def command(current: session.Session, *, directory: Path) -> None:
    """Write the manual pages of all gnt-* commands into a directory, and print their names.

    \b
    gnt-cluster manual /usr/local/share/man/man8
    """  # noqa: D301 - click's mark for lines that stay as they are
    directory.mkdir(parents=True, exist_ok=True)
    programs = [name for name in completion.programs() if name.startswith("gnt-")]
    for program in programs:
        module = importlib.import_module(f"pyganeti.cli.{program.replace('-', '_')}")
        group: groups.LazyGroup = module.GROUP
        path = directory / f"{program}.8"
        text = manual.page(group, programs, pyganeti.__version__)
        files.write_atomically(path, text.encode(), _MODE)
        current.out(str(path))
