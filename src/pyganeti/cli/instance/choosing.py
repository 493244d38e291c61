"""Which instances are meant: by name, by node, by tag, or all of them."""

from collections.abc import Sequence
from typing import Any, Final

import click

from pyganeti.base import errors
from pyganeti.cli import asking, completing, session

_WAYS: Final = {
    "instance": "The words are instances' names (the default).",
    "all": "All instances of the cluster.",
    "node": "Instances that have these nodes as primary or secondary.",
    "primary": "Instances whose primary node is one of these.",
    "secondary": "Instances whose secondary node is one of these.",
    "tags": "Instances that have one of these tags.",
    "node-tags": "Instances on nodes that have one of these tags.",
    "pri-node-tags": "Instances whose primary node has one of these tags.",
    "sec-node-tags": "Instances whose secondary node has one of these tags.",
}


def options(function: Any) -> Any:  # noqa: ANN401 - click's
    """Give a sub-command ``words``, ``way`` and ``force_multi``."""
    for way, words in reversed(_WAYS.items()):
        function = click.option(
            f"--{way}", "way", flag_value=way, default=None, help=words
        )(function)  # fmt: skip
    function = click.option(
        "--force-multiple", "-M", "force_multi", is_flag=True,
        help="Do not ask when there are several.",
    )(function)  # fmt: skip
    return click.argument("words", nargs=-1, shell_complete=_complete)(function)


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:  # noqa: ANN401 - click's
    """Return names of nodes where the words are such, else of instances; tags are not known."""
    way = ctx.params.get("way") or "instance"
    if way in {"node", "primary", "secondary"}:
        return completing.nodes(ctx, param, incomplete)
    return completing.instances(ctx, param, incomplete) if way == "instance" else []


def chosen(
    current: session.Session,
    words: Sequence[str],
    way: str | None,
    *,
    verb: str,
    force_multi: bool,
) -> list[str]:
    """Return the names of the instances that are meant, in order.

    Asks whether it is meant when there are several that were not all named. Raises BadInput if
    there are none.
    """
    way = way or "instance"
    names = _names(current, words, way)
    if not names:
        raise errors.BadInput("no instance is like that", "unknown_entity")
    if len(names) > 1 and not force_multi and (way != "instance" or len(names) != len(words)):
        current.tell(f"This will {verb} {len(names)} instances: {', '.join(names)}")
        asking.confirm(current, "Continue?", force=False, option="--force-multiple")
    return names


def _names(current: session.Session, words: Sequence[str], way: str) -> list[str]:
    client = current.client
    if way == "all":
        if words:
            raise errors.BadInput("--all takes no names")
        return [row[0] for row in client.query_instances([], ["name"])]
    if not words:
        raise errors.BadInput(f"name at least one {'instance' if way == 'instance' else way}")
    wanted = set(words)
    if way == "instance":
        return known(current, words)
    if way == "tags":
        rows = client.query_instances([], ["name", "tags"])
        return [name for name, tags in rows if wanted & set(tags)]
    fields = ["name", "pinst_list", "sinst_list", "tags"]
    if way.endswith("tags"):
        nodes = [row for row in client.query_nodes([], fields) if wanted & set(row[3])]
    else:
        nodes = client.query_nodes(words, fields)
        if len(nodes) < len(wanted):
            raise errors.BadInput(f"not all of these are nodes: {', '.join(words)}")
    lists: list[str] = []
    for _, primary, secondary, _ in nodes:
        lists += [] if way.startswith("sec") else primary
        lists += [] if way.startswith("pri") else secondary
    return sorted(dict.fromkeys(lists))


def known(current: session.Session, words: Sequence[str]) -> list[str]:
    """Return full names for what people typed; raises BadInput for one that is no instance."""
    names = []
    for word in dict.fromkeys(words):
        rows = current.client.query_instances([word], ["name"])
        if not rows:
            raise errors.BadInput(
                f"there is no instance {word!r}; gnt-instance list shows those there are",
                "unknown_entity",
            )
        names += [row[0] for row in rows]
    return list(dict.fromkeys(names))
