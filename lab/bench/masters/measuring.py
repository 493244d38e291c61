"""What is measured of master daemons, in that order."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from lab import qemus
from lab.bench import figures, runs
from lab.bench.masters import changes, daemons, inetcd, instances, jobs, lists, startups
from lab.cluster import namespaces

KINDS: Final = ("jobs", "etcd", "lists", "configuration", "startup", "instances")

FIGURES: Final = [
    *jobs.FIGURES,
    *inetcd.FIGURES,
    *lists.FIGURES,
    *changes.FIGURES,
    *startups.FIGURES,
    *instances.FIGURES,
]

Step = tuple[str, Callable[[], None]]


def steps(
    plan: runs.Plan,
    found: figures.Results,
    wanted: frozenset[str],
    number: int,
    *,
    with_peer: bool,
) -> Iterator[Step]:
    """Return what run number ``number``, from 0, consists of."""
    kinds = [daemons.OWN, *([daemons.PEER] if with_peer else [])]
    todo: dict[str, Callable[..., None]] = {
        "jobs": partial(jobs.measure, is_first=number == 0),
        "etcd": inetcd.measure,
        "lists": lists.measure,
        "configuration": changes.measure,
        "startup": startups.measure,
        "instances": instances.measure,
    }
    for kind, measure in todo.items():
        why_not = (namespaces.why_not() or qemus.why_not()) if kind == "instances" else ""
        if kind in wanted and not why_not:
            yield f"masterd: {kind}", partial(measure, plan, found, kinds)
