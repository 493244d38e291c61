"""The sub-command ``gnt-instance why``: the last stop of an instance, told across all layers.

What the guest and its qemu did is in the journal of the node, who had it done in the job, what was
done about it in the jobs that came after, and how it is now on its node. Any of these may be
missing; what is, is said.

As JSON one object: that of `wire.stoprow` for the stop, and in it ``node``, ``instance`` (null if
there is none of that name any more), ``status``, ``run_since``, ``gave_up``, ``jobs`` (as
`wire.stopjobs` has them), ``story`` (the paragraph that people see), ``timeline`` and ``troubles``.
Where no stop is on record the keys of the stop are not there.
"""

import dataclasses
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from pyganeti.base import errors
from pyganeti.cli import completing, program, recoverypolicy, session, tables
from pyganeti.cli.instance import stopasking
from pyganeti.model import stop as stops
from pyganeti.model.recovery.policy import Policy
from pyganeti.wire import names, stopjobs
from pyganeti.words import jobstory, moments, pages, present, stopstory

_COLUMNS: Final = 88
_SOME: Final = 20
"""Stops that are looked at of each node for names that begin like a word."""

_LATER: Final = frozenset({stopjobs.Bearing.AFTER, stopjobs.Bearing.RECOVERY})
_HEADS: Final = ("WHEN", "FROM", "WHAT")
_FIELDS: Final = (
    "name", "status", "pnode", "pnode.group", "tags", "hv/user_shutdown", "run_since",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Known:
    """All that there is to tell."""

    name: str
    last: stopasking.Told | None
    following: stopasking.Told | None
    instance: present.Instance | None
    policy: Policy | None
    troubles: Sequence[tuple[str, str]]


@click.command()
@click.argument("name", shell_complete=completing.instances)
@click.option("--before", metavar="TIME",
              help="The last stop up to then: a time (2026-05-01T12:30) or age (2h).")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_obj
def command(current: session.Session, *, name: str, before: str | None, as_json: bool) -> int:
    """Tell why an instance last stopped: what happened, who had it done, what came of it.

    Exit code 1: no stop is on record.
    """
    now = time.time()
    until = None if before is None else moments.since(before, now)
    known = _found(current, name, until)
    told = " ".join(_story(known, now))
    timeline = _timeline(known)
    if as_json:
        current.out_json(_as_dict(known, told, timeline))
    else:
        pages.write_paragraph(sys.stdout, told, _COLUMNS)
        if timeline:
            pages.write_line(sys.stdout)
            rows = [(moments.to_the_millisecond(one.at), one.source, one.what) for one in timeline]
            pages.write_table(sys.stdout, _HEADS, rows)
    return program.FAILED if known.last is None else 0


def _found(current: session.Session, word: str, until: float | None) -> _Known:
    """Ask for all; raises BadInput if nobody knows such a name, or it may be one or the other."""
    row = _instance(current, word)
    name = word if row is None else str(row["name"])
    answer = stopasking.ask(
        current,
        stopasking.Wanted(names=[name], until=until, newest=1 if row is not None else _SOME),
        with_jobs=True,
    )
    if row is None:
        found = dict.fromkeys(told.stop.name for told in answer.stops)
        if len(found) > 1 and word not in found:
            raise errors.BadInput(
                f"there is no instance {word!r}; stops are on record of {', '.join(found)}"
            )
        if not found and not answer.troubles:
            raise errors.BadInput(
                f"there is no instance {word!r}, and no stop of a guest of that name is on record",
                "unknown_entity",
            )
        name = word if word in found else next(iter(found), word)
    own = [told for told in answer.stops if told.stop.name == name]
    last = own[-1] if own else None
    following = None if last is None or until is None else _next(current, last.stop)
    if last is not None and following is not None:
        last = _until(last, following.stop.stopped)
    if row is None:
        return _Known(name, last, following, None, None, answer.troubles)
    above, own_switch = recoverypolicy.above(current), bool(row["hv/user_shutdown"])
    policy = above.of(row["tags"] or (), row["pnode.group"], user_shutdown=own_switch)
    switches = {
        "the cluster's user shutdown (gnt-cluster modify)": above.is_user_shutdown,
        "its hypervisor parameter user_shutdown": own_switch,
    }
    instance = present.Instance(
        name=name,
        status=row["status"] or "",
        node=row["pnode"] or "",
        since=row["run_since"],
        gave_up=policy.gave_up,
        off=tuple(words for words, is_on in switches.items() if not is_on),
    )
    return _Known(name, last, following, instance, policy, answer.troubles)


def _next(current: session.Session, stop: stops.Stop) -> stopasking.Told | None:
    """Return the stop of the same name that followed, None if there was none."""
    later = stopasking.ask(current, stopasking.Wanted(names=[stop.name], since=stop.stopped))
    found = (
        told for told in later.stops if told.stop.name == stop.name and told.stop.key != stop.key
    )
    return next(found, None)


def _until(told: stopasking.Told, moment: float) -> stopasking.Told:
    """Return a stop without the jobs that came after the next one."""
    jobs = [
        job for job in told.jobs if job.bearing not in _LATER or (job.received or 0.0) <= moment
    ]
    return dataclasses.replace(told, jobs=jobs)


def _instance(current: session.Session, word: str) -> dict[str, Any] | None:
    """Return an instance's fields, None if there is none of the name."""
    try:
        answer = current.client.query("instance", _FIELDS, ["==", "name", word])
    except errors.BadInput:
        return None
    for cells in answer["data"]:
        return {
            field: value if status == tables.NORMAL else None
            for field, (status, value) in zip(_FIELDS, cells, strict=True)
        }
    return None


def _story(known: _Known, now: float) -> list[str]:
    told: list[str] = []
    if known.last is None:
        told.append(f"No stop of {pages.shown(known.name)} is on record.")
        told += present.sentences(known.instance, None, now)
    else:
        stop = known.last.stop
        told.append(stopstory.story(stop, now, node=known.last.node))
        if known.instance is not None and known.last.instance is None:
            told.append("That was before the instance that has the name now was created.")
        told += jobstory.sentences(stop, known.last.jobs)
        if known.following is not None:
            then = known.following.stop
            when = f"{moments.day_and_time(then.stopped)} ({moments.ago(then.stopped, now)})"
            told.append(f"It stopped again at {when}: {then.cause.value}.")
        told += present.sentences(
            known.instance, stop if known.following is None else known.following.stop, now
        )
        if known.policy is not None:
            rule = known.policy.rules[stop.cause]
            whose = "built in" if rule.level is None else f"by the {rule.level}'s policy"
            told.append(f"What is to be done after such a stop: {rule.action.meaning} ({whose}).")
    told += [f"Mind {pages.shown(line)}." for line in stopasking.by_trouble(known.troubles)]
    return told


def _timeline(known: _Known) -> list[stopstory.Moment]:
    if known.last is None:
        return []
    found = [*stopstory.timeline(known.last.stop), *jobstory.timeline(known.last.jobs)]
    if known.following is not None:
        then = known.following.stop
        found.append(stopstory.Moment(then.stopped, "kvmd", f"the next stop: {then.cause.value}"))
        return stopstory.in_order(found)
    since = None if known.instance is None else known.instance.since
    if since is not None and since >= known.last.stop.stopped:
        found.append(stopstory.Moment(since, "the kernel", "the qemu that runs now was started"))
    return stopstory.in_order(found)


def _as_dict(known: _Known, story: str, timeline: list[stopstory.Moment]) -> Any:  # noqa: ANN401 - JSON
    import msgspec

    last, instance = known.last, known.instance
    told: dict[str, Any] = {"name": known.name}
    if last is not None:
        told |= stopasking.as_dict(last)
        told["jobs"] = [msgspec.to_builtins(job) for job in last.jobs]
    told |= {
        "instance": None if instance is None else instance.name,
        "status": None if instance is None else instance.status,
        "run_since": None if instance is None else instance.since,
        "gave_up": None if instance is None else instance.gave_up,
        "story": story,
        "timeline": [dataclasses.asdict(one) for one in timeline],
        "troubles": [{"node": node, "trouble": words} for node, words in known.troubles],
    }
    return names.all_readable(told)
