"""The command: ``python -m lab.bench [--quick] [--only NAME] [--runs N] …``.

Runs every benchmark several times, the daemons in turns, and prints one table. Ends with 1 if a
target was missed, unless that was not asked for; whatever happens, nothing is left running.
"""

import argparse
import compileall
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pyganeti
from lab import luxids, masterdaemons, qemus, simulation
from lab.bench import (
    boots,
    contestants,
    crowds,
    figures,
    floods,
    idling,
    machines,
    markers,
    pages,
    processes,
    recoveries,
    reports,
    runs,
)
from lab.bench.masters import daemons as masterly
from lab.bench.masters import measuring as measuring_masters
from lab.bench.nodes import daemons, loads, measuring
from lab.cluster import conductor, masters, namespaces, services
from pyganeti.base import errors

_CROWD: Final = ("memory", "latency", "storm")
_OTHERS: Final = ("processes", "flood", "boots", "qemus", "idle")
_PARTS: Final = {
    "kvmd": (*_CROWD, *_OTHERS),
    "noded": measuring.KINDS,
    "masterd": measuring_masters.KINDS,
    "watcher": ("recovery",),
}
_ROOT: Final = Path(__file__).parents[2]
_PAGE: Final = _ROOT / "docs/benchmarks.md"
_LIMIT: Final = 3600
_FAULTS: Final = (
    OSError,
    TimeoutError,
    conductor.NotMigrated,
    contestants.Failed,
    errors.Failure,
    loads.Wrong,
    luxids.NotStarted,
    markers.Lost,
    masterdaemons.NotStarted,
    masterly.Wrong,
    masters.Failed,
    namespaces.NotMade,
    qemus.Failed,
    runs.Lost,
    services.NotStarted,
    simulation.Failed,
)

Step = tuple[str, Callable[[], None]]


def main() -> int:
    """Measure what is asked for, and show it."""
    options = _parser().parse_args()
    plan = _plan(options)
    parts = options.part or list(_PARTS)
    wanted = frozenset(options.only or (kind for part in parts for kind in _PARTS[part]))
    parts = [part for part in _PARTS if wanted.intersection(_PARTS[part])]
    peers = Peers(options.peer)
    found = figures.Results()
    for earlier in options.earlier:
        reports.take_up(found, json.loads(earlier.read_text()))
    machine = machines.describe()
    _compile()
    began = time.monotonic()
    with _bounded():
        for number in range(plan.runs):
            _measure(_steps(plan, peers, wanted, found, number), number)
    catalogues = {
        "kvmd": figures.catalogue(plan.sizes),
        "noded": figures.nodes_catalogue(),
        "masterd": measuring_masters.FIGURES,
        "watcher": list(recoveries.FIGURES),
    }
    catalogue = [figure for part in parts for figure in catalogues[part]]
    sys.stdout.write(f"\n{reports.plain(reports.rows(found, catalogue))}\n")
    _say(f"took {time.monotonic() - began:.0f} s")
    if options.json:
        said = {part: peers.said[part] for part in parts}
        document = reports.document(found, catalogue, machine, peer=said, runs=plan.runs)
        options.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    if options.write_docs:
        told: dict[str, Any] = {
            "runs": f"{plan.runs} runs" if plan.runs > 1 else "one run",
            "stops": plan.stops,
            "idle": plan.idle,
            "lines": f"{floods.LINES:,}",
            "sockets": floods.SOCKETS,
            "calls": plan.many,
            "warm_up": measuring.WARM_UP,
        }
        made = [
            pages.part(
                part, catalogues[part], found, machine=machine, peer=peers.said[part], **told
            )
            for part in parts
        ]
        before = _PAGE.read_text() if _PAGE.exists() else ""
        _PAGE.write_text(pages.written(before, *made))
    return 0


class Peers:
    """Ganeti's daemons, as far as they can be measured beside ours; ``said`` tells it, by part."""

    def __init__(self, asked: str) -> None:
        program, words = contestants.find_peer(asked)
        self.kinds: list[type[contestants.Contestant]] = [contestants.Own]
        if program is not None:
            contestants.Peer.program = program
            self.kinds.append(contestants.Peer)
        why_not = "not asked for" if asked == "none" else daemons.find_peer()
        self.has_noded = not why_not
        self.no_luxid = "not asked for" if asked == "none" else luxids.missing()
        missing = "Ganeti's daemon was not measured: "
        self.said = {
            "kvmd": f"Beside it: {words}." if program else f"{missing}{words}.",
            "noded": f"{missing}{why_not}." if why_not else f"Beside it: {daemons.version()}.",
            "masterd": f"{missing}{self.no_luxid}."
            if self.no_luxid
            else "Beside it: Ganeti's luxid and wconfd from Debian's package, 3.0.2.",
            "watcher": "",
        }
        for part, about in self.said.items():
            if about:
                _say(f"{part}: {about}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one run, smaller sizes")
    parser.add_argument("--runs", type=int, help="runs of everything (default: 3)")
    parser.add_argument(
        "--part", action="append", choices=list(_PARTS), help="measure this daemon (repeatable)"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[kind for kinds in _PARTS.values() for kind in kinds],
        help="measure this (repeatable)",
    )
    parser.add_argument(
        "--sizes", type=lambda text: tuple(map(int, text.split(","))), help="numbers of guests"
    )
    parser.add_argument("--qemus", type=int, help="how many real qemus are booted")
    parser.add_argument("--calls", type=int, help="calls of noded for one figure")
    parser.add_argument("--starts", type=int, help="starts of instances, one at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument(
        "--with",
        dest="earlier",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="count what --json wrote earlier, on this machine, too (repeatable)",
    )
    parser.add_argument(
        "--peer", default="", metavar="PATH", help="Ganeti's ganeti-kvmd, or \"none\" of Ganeti's"
    )
    parser.add_argument(
        "--disk", type=Path, default=_ROOT, metavar="DIR", help="where journals are written"
    )
    parser.add_argument("--write-docs", action="store_true", help="write docs/benchmarks.md")
    return parser


def _plan(options: argparse.Namespace) -> runs.Plan:
    given = {
        name: value
        for name in ("runs", "sizes", "qemus", "calls", "starts")
        if (value := getattr(options, name)) is not None
    }
    if options.quick:
        quick = {"runs": 1, "stops": 100, "qemus": 20, "idle": 5.0, "sizes": (100, 1000)}
        quick |= {"calls": 1000, "starts": 8, "many": 2000}
        given = quick | given
    return runs.Plan(disk=options.disk.resolve(), **given)


def _measure(steps: Iterator[Step], number: int) -> None:
    for title, step in steps:
        began = time.monotonic()
        try:
            step()
        except _FAULTS as error:
            _say(f"run {number + 1}: {title}: {type(error).__name__}: {error}")
        else:
            _say(f"run {number + 1}: {title}: {time.monotonic() - began:.1f} s")


def _steps(
    plan: runs.Plan, peers: Peers, wanted: frozenset[str], found: figures.Results, number: int
) -> Iterator[Step]:
    yield from _kvmd_steps(plan, peers.kinds, wanted, found, number)
    has_master = not peers.no_luxid
    yield from measuring_masters.steps(plan, found, wanted, number, with_peer=has_master)
    why_not = namespaces.why_not() or qemus.why_not()
    if why_not and wanted.intersection(measuring.KINDS):
        _say(f"noded: {why_not}")
        return
    yield from measuring.steps(plan, found, wanted, with_peer=peers.has_noded)
    if "recovery" in wanted and not why_not:
        yield "watcher: recovery", partial(recoveries.measure, plan, found)


def _kvmd_steps(
    plan: runs.Plan,
    kinds: list[type[contestants.Contestant]],
    wanted: frozenset[str],
    found: figures.Results,
    number: int,
) -> Iterator[Step]:
    crowd = wanted & frozenset(_CROWD)
    for size in plan.sizes:
        for kind in kinds:
            if crowd and not (number and _has_failed(found, kind, size)):
                yield (
                    f"{size} guests, {kind.title}",
                    partial(crowds.measure, kind, plan, found, size, crowd),
                )
    others: dict[str, Callable[..., None]] = {
        "processes": processes.measure,
        "flood": floods.measure,
        "boots": boots.measure,
        "idle": idling.measure,
        "qemus": boots.measure_real,
    }
    for name, measure in others.items():
        is_once = name in ("idle", "qemus") and number > 0
        if name not in wanted or is_once:
            continue
        if name == "qemus" and qemus.why_not():
            _say(qemus.why_not())
            continue
        for kind in kinds:
            yield f"{name}, {kind.title}", partial(measure, kind, plan, found)


def _has_failed(found: figures.Results, kind: type[contestants.Contestant], size: int) -> bool:
    """Tell whether it could not follow so many guests: once is enough."""
    return kind is contestants.Peer and (kind.title, f"lost.{size}") in found.remarks


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """End in order when it takes too long, and on SIGTERM as on Ctrl-C."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(f"ended by {signal.Signals(number).name}")

    before = {number: signal.signal(number, stop) for number in (signal.SIGALRM, signal.SIGTERM)}
    signal.alarm(_LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _compile() -> None:
    """Have the bytecode there that an installed package brings along, whatever the environment."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(Path(pyganeti.__file__).parent, quiet=1)


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
