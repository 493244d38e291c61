"""Options of what moves instances: where to, how, and what may be overlooked."""

from typing import Any, Literal, TypeAlias

import click

from pyganeti.base import errors
from pyganeti.cli import completing

Mode: TypeAlias = Literal["live", "non-live"]


def where(function: Any) -> Any:  # noqa: ANN401 - click's
    """Give a sub-command ``target``, ``iallocator`` and ``ignore_ipolicy``."""
    for option in (
        click.option("--ignore-ipolicy", is_flag=True,
                     help="Move it even if the other group's policy is against it."),
        click.option("-I", "--iallocator", metavar="NAME",
                     help="Have this allocator choose the node; '.' is the cluster's own."),
        click.option("-n", "--target-node", "target", metavar="NODE",
                     shell_complete=completing.nodes, help="The node to move to."),
    ):  # fmt: skip
        function = option(function)
    return function


def live(function: Any) -> Any:  # noqa: ANN401 - click's
    """Give a sub-command ``non_live``, ``mode`` and ``no_runtime_changes``."""
    for option in (
        click.option("--no-runtime-changes", is_flag=True,
                     help="Do not take memory from an instance to have it fit."),
        click.option("--migration-mode", "mode", type=click.Choice(["live", "non-live"]),
                     help="Whether it goes on running meanwhile, or stands still."),
        click.option("--non-live", is_flag=True, help="Have it stand still meanwhile."),
    ):  # fmt: skip
        function = option(function)
    return function


def check(target: str | None, iallocator: str | None) -> None:
    """Raise BadInput if both say where to."""
    if target and iallocator:
        raise errors.BadInput("give a node (-n) or an allocator (-I), not both")


def mode_of(mode: Mode | None, *, non_live: bool) -> Mode | None:
    """Return the way of migrating that was asked for; raises BadInput if it is said twice."""
    if non_live and mode is not None:
        raise errors.BadInput("give --non-live or --migration-mode, not both")
    return "non-live" if non_live else mode
