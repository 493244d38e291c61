"""The sub-commands about tags, which every kind of thing has: list, add and remove them."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import click

from pyganeti.base import errors
from pyganeti.cli import completing, following, listing, options, session
from pyganeti.model.opcodes import tags

Kind = Literal["cluster", "instance", "network", "node", "nodegroup"]

_CLUSTER: Final = "cluster"


def list_command(kind: Kind, complete: listing.Complete | None = None) -> click.Command:
    """Return the sub-command that lists tags, a line each."""

    @click.command(help=f"List the tags of {_article(kind)}.")
    @_named(kind, complete)
    @click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
    @click.pass_obj
    def command(current: session.Session, *, name: str, as_json: bool) -> None:
        found = sorted(current.client.query_tags(kind, name))
        if as_json:
            current.out_json(found)
        else:
            for tag in found:
                current.out(tag)

    return command


def add_command(kind: Kind, complete: listing.Complete | None = None) -> click.Command:
    """Return the sub-command that adds tags."""
    return _changing(kind, complete, tags.TagsSet, f"Give {_article(kind)} tags.")


def remove_command(kind: Kind, complete: listing.Complete | None = None) -> click.Command:
    """Return the sub-command that removes tags, all of which have to be there."""
    return _changing(kind, complete, tags.TagsDel, f"Take tags from {_article(kind)}.")


def _changing(
    kind: Kind,
    complete: listing.Complete | None,
    opcode: type[tags.TagsSet] | type[tags.TagsDel],
    doc: str,
) -> click.Command:
    known = completing.tags(kind) if opcode is tags.TagsDel else None

    @click.command(help=doc)
    @_named(kind, complete)
    @click.argument("words", metavar="TAG...", nargs=-1, shell_complete=known)
    @click.option(
        "--from", "source", metavar="FILE", help="Also those in a file, one a line; -: stdin."
    )
    @options.job()
    @click.pass_obj
    def command(
        current: session.Session,
        *,
        name: str,
        words: tuple[str, ...],
        source: str | None,
        how: options.How,
    ) -> None:
        meant = [*words, *(_read(source) if source else ())]
        if not meant:
            raise errors.BadInput("name at least one tag")
        op = opcode(kind=kind, name=name or None, tags=list(dict.fromkeys(meant)))
        following.do(current, [op], how)

    return command


def _named(kind: Kind, complete: listing.Complete | None) -> Callable[[Any], Any]:
    """Give a sub-command the ``name`` of what has the tags; the cluster is meant without."""
    if kind != _CLUSTER:
        return click.argument("name", shell_complete=complete or completing.of_kind(kind))

    def decorate(function: Any) -> Any:  # noqa: ANN401 - click's
        @functools.wraps(function)
        def wrapped(*args: Any, **given: Any) -> Any:  # noqa: ANN401 - click's
            return function(*args, name="", **given)

        return wrapped

    return decorate


def _read(source: str) -> list[str]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.BadInput(f"{source}: the tags cannot be read: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _article(kind: Kind) -> str:
    words = {"cluster": "the cluster", "instance": "an instance", "nodegroup": "a node group"}
    return words.get(kind, f"a {kind}")
