"""The sub-command ``gnt-instance stops``: the history of stops of the whole cluster.

As JSON an object a line: that of `wire.stoprow`, in it ``node`` and ``instance`` (null if there is
none any more); and for a node whose record is missing or has gaps ``{"node": …, "trouble": …}``.
"""

import collections
import contextlib
import dataclasses
import sys
import time
from typing import Final

import click

from pyganeti.cli import completing, session
from pyganeti.cli.instance import stopasking
from pyganeti.model.cause import Cause
from pyganeti.words import moments, pages

_HEADS: Final = ("STOPPED", "NAME", "NODE", "RAN", "CAUSE", "WHY")
_CAUSES: Final = [str(cause) for cause in Cause]
_PAUSE: Final = 1.0
_FEW: Final = 20
_MANY: Final = 1000


@click.command()
@click.argument("names", nargs=-1, shell_complete=completing.instances)
@click.option("--since", metavar="TIME", help="A time (2026-05-01, 2026-05-01T12:30) or age (2h).")
@click.option("--until", metavar="TIME", help="No later ones; a time or age likewise.")
@click.option("--cause", "wanted", multiple=True, metavar="CAUSE", type=click.Choice(_CAUSES),
              help=f"Only for this reason; may be repeated: {', '.join(_CAUSES)}.")  # fmt: skip
@click.option("--node", "nodes", multiple=True, metavar="NODE", shell_complete=completing.nodes,
              help="Only stops on this node; may be repeated.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1, _MANY), help="No more than so many, the newest.")
@click.option("--follow", is_flag=True, help="Go on with each further stop, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
@click.pass_obj
def command(
    current: session.Session,
    *,
    names: tuple[str, ...],
    since: str | None,
    until: str | None,
    wanted: tuple[str, ...],
    nodes: tuple[str, ...],
    limit: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Show which guests stopped and why, oldest first: all, or those of some names.

    The nodes keep the history, by name: instances that were removed since have theirs, too.
    """
    if until is not None and follow:
        raise click.UsageError("--follow shows what is to come, --until what was before")
    asked = stopasking.Wanted(
        names=names,
        nodes=nodes,
        causes=[Cause(word) for word in wanted],
        since=None if since is None else moments.since(since, time.time()),
        until=None if until is None else moments.since(until, time.time()),
        newest=limit,
    )
    further = dataclasses.replace(asked, since=None, newest=_MANY)
    before = stopasking.ask(current, further).stops if follow else ()
    answer = stopasking.ask(current, asked)
    stops = answer.stops[-limit:] if limit else answer.stops
    if as_json:
        for told in stops:
            current.out_json(stopasking.as_dict(told))
        for node, trouble in answer.troubles:
            current.out_json({"node": node, "trouble": trouble})
    else:
        if stops:
            pages.write_table(sys.stdout, _HEADS, [_row(told) for told in stops])
        elif not follow:
            current.out("No such stop is on record.")
        for line in stopasking.by_trouble(answer.troubles):
            current.tell(f"{current.program}: {line}")
    if follow:
        known = {told.stop.key for told in (*before, *answer.stops)}
        _follow(current, further, known, as_json=as_json)


def _row(told: stopasking.Told) -> tuple[str, ...]:
    stop = told.stop
    ran = None if stop.started is None else stop.stopped - stop.started
    return (
        moments.day_and_time(stop.stopped),
        stop.name,
        told.node,
        moments.duration(ran),
        stop.cause.value,
        stop.why,
    )


def _follow(
    current: session.Session, asked: stopasking.Wanted, known: set[str], *, as_json: bool
) -> None:
    """Print each stop whose key is not known yet, until interrupted."""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            for told in _unknown(current, asked, known):
                known.add(told.stop.key)
                _print(current, told, as_json=as_json)
            sys.stdout.flush()
            time.sleep(_PAUSE)


def _unknown(
    current: session.Session, asked: stopasking.Wanted, known: set[str]
) -> list[stopasking.Told]:
    """Return the stops that are not known; many are looked at only if a node's few are all new."""
    found: list[stopasking.Told] = []
    for newest in (_FEW, _MANY):
        answer = stopasking.ask(current, dataclasses.replace(asked, newest=newest))
        found = [told for told in answer.stops if told.stop.key not in known]
        by_node = collections.Counter(told.node for told in found)
        if max(by_node.values(), default=0) < newest:
            break
    return found


def _print(current: session.Session, told: stopasking.Told, *, as_json: bool) -> None:
    if as_json:
        current.out_json(stopasking.as_dict(told))
        return
    at, name = moments.to_the_millisecond(told.stop.stopped), pages.shown(told.stop.name)
    why = pages.shown(told.stop.why)
    pages.write_line(
        sys.stdout, f"{at}  {name:<24}  {told.node:<24}  {told.stop.cause.value:<14}  {why}"
    )
