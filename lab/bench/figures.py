"""What is measured, what is to be reached, and the values that were found.

A figure's key says what it is; its values come from several runs, and its median counts. Smaller
is better for every figure here.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; ``target`` is the most that is allowed, in ``unit``."""

    key: str
    what: str
    unit: str
    target: float | None = None
    of_peer: float | None = None
    """The most that is allowed as a part of the peer's, where that is there."""


SIZES: Final = (100, 1000, 5000, 10_000)
STORMS: Final = (1000, 10_000)
_PSS: Final = {1000: 25.3, 10_000: 64.0}
_PART_SIZE: Final = 1000
_STORM: Final = {1000: 0.25, 10_000: 2.5}


def catalogue(sizes: Sequence[int] = SIZES) -> list[Figure]:
    """Return all figures in the order of the table."""
    found = [
        Figure(f"lost.{size}", f"{size} guests: not attached or not recorded", "", 0)
        for size in sizes
    ]
    found += [
        Figure(f"attach.{size}", f"{size} guests: until all are attached", "s") for size in sizes
    ]
    for size in sizes:
        part = 2 / 3 if size == _PART_SIZE else None
        what = f"{size} guests: memory"
        found += [
            Figure(f"pss.{size}", f"{what} (PSS)", "MiB", _PSS.get(size), part),
            Figure(f"rss.{size}", f"{what} mapped (RSS)", "MiB"),
        ]
    found.append(Figure("pss.processes", "1000 guests with a process each: PSS", "MiB"))
    for size in sizes:
        whom = f"{size} guests: stop to marker"
        found += [
            Figure(f"latency.p50.{size}", f"{whom}, median", "ms", 1.0),
            Figure(f"latency.p99.{size}", f"{whom}, 99 of 100", "ms", 3.0),
            Figure(f"latency.max.{size}", f"{whom}, longest", "ms"),
            Figure(f"synced.p50.{size}", f"{size} guests: stop to row synced, median", "ms"),
            Figure(f"synced.p99.{size}", f"{size} guests: stop to row synced, 99 of 100", "ms"),
        ]
    found += [
        Figure(f"storm.{size}", f"{size} stops at once: all on disk", "s", _STORM[size])
        for size in sizes
        if size in STORMS
    ]
    found += [
        Figure("flood.cpu", "flood: processor time a line", "µs", 5.0),
        Figure("flood.growth", "flood: growth of memory", "MiB", 8.0),
        Figure("flood.latency", "flood: another guest's marker, longest", "ms", 30.0),
        Figure("boots.missed", "1000 boots of simulated servers: missed", "", 0),
        Figure("qemus.missed", "boots of real qemus: missed", "", 0),
        Figure("idle.cpu", "1000 guests, idle: processor", "%", 0.05),
    ]
    return found


_TIMES_FASTER: Final = 1 / 15
_BESIDE_BARE: Final = 1.3


def nodes_catalogue() -> list[Figure]:
    """Return the node daemon's figures in the order of the table."""
    version, start = "`version`", "`instance_start`"
    listing = "`all_instances_info`"
    return [
        Figure("version.kept", f"{version}, kept connection: median", "ms", 1.0),
        Figure("version.new", f"{version}, new connection each: median", "ms", 4.0),
        Figure("version.one", f"{version}, one at a time: a call", "ms", None, _TIMES_FASTER),
        Figure("version.twenty", f"{version}, 20 at once: a call", "ms", None, _TIMES_FASTER),
        Figure("version.twenty.new", f"{version}, 20 at once, new connection each: a call", "ms"),
        Figure("list.20", f"{listing}, 20 guests: median", "ms"),
        Figure("list.100", f"{listing}, 100 guests: median", "ms", 50.0),
        Figure("start.one.bare", "a bare `qemu -daemonize`: median", "ms"),
        Figure("start.one", f"{start}, the same: median", "ms"),
        Figure("start.one.ratio", f"{start} in bare qemus", "times"),
        Figure("start.one.new", f"{start}, new connection: median", "ms"),
        Figure("start.one.new.ratio", "the same in bare qemus", "times"),
        Figure("start.one.paused", f"{start}, guest left standing: median", "ms"),
        Figure("start.one.paused.ratio", "the same in bare qemus", "times", _BESIDE_BARE),
        Figure("start.one.bare.runs", "a bare qemu whose guest runs: median", "ms"),
        Figure("start.one.runs.ratio", f"{start} in those", "times", _BESIDE_BARE),
        Figure("start.ten.bare", "ten bare qemus at once: median", "ms"),
        Figure("start.ten", f"ten {start} at once: median", "ms"),
        Figure("start.ten.ratio", f"ten {start} in ten bare qemus", "times"),
        Figure("start.ten.new", f"ten {start} at once, new connections: median", "ms"),
        Figure("start.ten.new.ratio", "the same in ten bare qemus", "times"),
        Figure("start.ten.paused", f"ten {start} at once, guests left standing: median", "ms"),
        Figure("start.ten.paused.ratio", "the same in ten bare qemus", "times", _BESIDE_BARE),
        Figure("start.ten.bare.runs", "ten bare qemus whose guests run, at once: median", "ms"),
        Figure("start.ten.runs.ratio", f"ten {start} in those", "times", _BESIDE_BARE),
        Figure("pss.noded.0", "no guest: memory (PSS)", "MiB"),
        Figure("rss.noded.0", "no guest: memory mapped (RSS)", "MiB"),
        Figure("pss.noded.100", "100 guests: memory (PSS)", "MiB"),
        Figure("rss.noded.100", "100 guests: memory mapped (RSS)", "MiB", 60.0),
        Figure("growth.noded", "growth over 10,000 calls", "MiB", 1.0),
    ]


@dataclass(slots=True)
class Results:
    """The values found, by contestant and key."""

    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    remarks: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, contestant: str, key: str, value: float) -> None:
        """Add one run's value."""
        self.values.setdefault((contestant, key), []).append(value)

    def remark(self, contestant: str, key: str, words: str) -> None:
        """Say why there is no value, or what it means."""
        self.remarks[contestant, key] = words

    def median(self, contestant: str, key: str) -> float | None:
        """Return the median over all runs, or None if there was none."""
        found = self.values.get((contestant, key))
        return statistics.median(found) if found else None

    def spread(self, contestant: str, key: str) -> tuple[float, float] | None:
        """Return the least and the most of all runs."""
        found = self.values.get((contestant, key))
        return (min(found), max(found)) if found else None


def percentile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that at least ``part`` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def bound(figure: Figure, peer: float | None) -> float | None:
    """Return the most that is allowed, beside a peer that needs ``peer``."""
    if figure.of_peer is not None and peer is not None:
        return figure.of_peer * peer
    return figure.target
