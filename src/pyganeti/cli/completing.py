"""Live names for the shell's completion: asked of the master daemon, for a second at most.

While somebody types nothing may be printed and nothing may hang: whatever goes wrong, there are no
names.
"""

import os
from typing import Final

import click
from click import shell_completion

from pyganeti.base import errors, paths
from pyganeti.clients import luxi, luxichannel

_PATIENCE: Final = luxichannel.Patience(connect=0.5, answer=1.0, restart=0.0)


def instances(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[shell_completion.CompletionItem]:
    """Return the instances that begin like that."""
    del ctx, param
    return _names("instance", incomplete)


def nodes(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[shell_completion.CompletionItem]:
    """Return the nodes that begin like that."""
    del ctx, param
    return _names("node", incomplete)


def groups(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[shell_completion.CompletionItem]:
    """Return the node groups that begin like that."""
    del ctx, param
    return _names("group", incomplete)


def jobs(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[shell_completion.CompletionItem]:
    """Return the jobs that begin like that."""
    del ctx, param
    return _names("job", incomplete, "id")


def _names(
    what: str, incomplete: str, field: str = "name"
) -> list[shell_completion.CompletionItem]:
    try:
        with luxi.Client(paths.Paths.from_environment(os.environ), _PATIENCE) as client:
            rows = client.query(what, [field])["data"]
    except (errors.Failure, OSError, KeyError, TypeError):
        return []
    found = sorted(str(row[0][1]) for row in rows)
    return [shell_completion.CompletionItem(one) for one in found if one.startswith(incomplete)]
