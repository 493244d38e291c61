"""Live names for the shell's completion: asked of the master daemon, for a second at most.

While somebody types nothing may be printed and nothing may hang: whatever goes wrong, there are no
names.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import click
from click import shell_completion

from pyganeti.base import errors, paths
from pyganeti.clients import luxi, luxichannel

Complete: TypeAlias = Callable[
    [click.Context, click.Parameter, str], list[shell_completion.CompletionItem]
]
"""What click asks for names that begin in some way."""

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


def networks(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[shell_completion.CompletionItem]:
    """Return the networks that begin like that."""
    del ctx, param
    return _names("network", incomplete)


def oses(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[shell_completion.CompletionItem]:
    """Return the operating systems that begin like that, with their variants."""
    del ctx, param
    names = []
    for (_, name), (_, variants) in _asked(
        lambda client: client.query("os", ["name", "variants"])["data"]
    ):
        names += [f"{name}+{variant}" for variant in variants or ()] or [name]
    return _items(names, incomplete)


def of_kind(kind: str) -> Complete | None:
    """Return what completes names of a kind of thing, as tags have them; the cluster has none."""
    return _KINDS.get(kind)


def tags(kind: str) -> Complete:
    """Return what completes the tags that a thing has; its name stands before them."""

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[shell_completion.CompletionItem]:
        del param
        name = str(ctx.params.get("name") or "")
        return _items(_asked(lambda client: client.query_tags(kind, name)), incomplete)

    return complete


def disks(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[shell_completion.CompletionItem]:
    """Return the numbers of the disks of the instance whose name stands before."""
    del param
    name = str(ctx.params.get("name") or "")
    rows = _asked(lambda client: client.query_instances([name], ["disk.count"]))
    return _items([str(number) for row in rows for number in range(row[0])], incomplete)


def fields(what: str) -> Complete:
    """Return what completes a list of fields, with commas between them."""

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[shell_completion.CompletionItem]:
        del ctx, param
        start = re.match(r"\+?(?:[^,]*,)*", incomplete)
        before = start[0] if start else ""
        found = _asked(lambda client: client.query_fields(what, None)["fields"])
        return _items([before + one["name"] for one in found], incomplete)

    return complete


def _names(
    what: str, incomplete: str, field: str = "name"
) -> list[shell_completion.CompletionItem]:
    rows = _asked(lambda client: client.query(what, [field])["data"])
    return _items([str(row[0][1]) for row in rows], incomplete)


def _asked(ask: Callable[[luxi.Client], Iterable[Any]]) -> list[Any]:
    """Return what the master daemon answers; nothing if it does not."""
    try:
        with luxi.Client(paths.Paths.from_environment(os.environ), _PATIENCE) as client:
            return list(ask(client))
    except (errors.Failure, OSError, LookupError, TypeError):
        return []


def _items(found: Iterable[str], incomplete: str) -> list[shell_completion.CompletionItem]:
    return [
        shell_completion.CompletionItem(one) for one in sorted(found) if one.startswith(incomplete)
    ]


_KINDS: Final[Mapping[str, Complete]] = {
    "instance": instances,
    "network": networks,
    "node": nodes,
    "nodegroup": groups,
}
