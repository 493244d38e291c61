"""Shows what was found: a table for a terminal, JSON for programs, a page for the documentation."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from lab.bench import contestants, figures

FORMAT: Final = 1
_OWN: Final = contestants.Own.title
_PEER: Final = contestants.Peer.title

_PAGE: Final = """\
# Benchmarks

Written by `make bench`. Each figure is the median of {runs}; smaller is better throughout. Both
daemons were run in turns, in one run, each detached, as on a node, and on simulated QMP servers
which greet, negotiate and answer as QEMU does. The control directory is in memory (as /run is),
the journal on disk, and every stop of pyganeti's is committed to it before its marker appears, and
synced to the disk right after.
{peer}

## The machine

{machine}

## The figures

{table}

A ratio is pyganeti's figure divided by Ganeti's. What is over its target is marked.

## What they mean

- *Not attached or not recorded*: guests that were not connected, not in the journal as watched, or
  whose stop made no marker or no row. Ganeti's daemon keeps no journal.
- *Memory*: `Pss` and `Rss` of `/proc/PID/smaps_rollup`, some seconds after the last guest. PSS
  shares what several processes map, such as the interpreter and the C library, among them. The
  simulated servers are one process; a guest with a process of its own costs a pidfd more.
- *Stop to marker*: from the server's clock just before it sends SHUTDOWN to inotify telling the
  benchmark of `NAME.shutdown`, for {stops} single stops that do not wait for each other. The row is
  committed to the journal before the marker is made, so this includes the commit.
- *Stop to row synced*: until a sync of the journal that the benchmark itself began after the marker
  has returned. From then on the row survives a power failure too; that of pyganeti's own thread for
  this (docs/decisions) is mostly done by then.
- *Stops at once*: from the first SHUTDOWN to the last marker, the last row in the journal, and the
  end of a sync begun after that.
- *Flood*: {lines} harmless lines over {sockets} sockets, as fast as they are read. Growth is the
  peak of the resident memory over what it was before. Meanwhile other guests stop, one by one.
- *Boots*: sockets that are bound, refuse for up to 30 ms, and then listen, so that whoever tries
  only once misses nearly all; and real qemus, 60 at a time, whose guests power themselves off.
- *Idle*: processor time over {idle:.0f} s in which no guest does anything; what is below
  0.05 % counts as nothing.

## How to repeat

`make bench` takes some six minutes and rewrites this page. `make bench ARGS=--quick` takes two and
writes nothing; `ARGS="--only latency"` measures one thing; `ARGS=--help` has the rest.
Ganeti's daemon is
measured where Debian's packages ganeti-3.0 and ganeti-haskell-3.0 are installed and mount
namespaces are allowed; both daemons feel whatever else the machine does meanwhile.
"""


def rows(found: figures.Results, wanted: Iterable[figures.Figure]) -> list[list[str]]:
    """Return the lines of the table, below `HEADINGS`; none for what was not measured."""
    lines = []
    for figure in wanted:
        own, peer = found.median(_OWN, figure.key), found.median(_PEER, figure.key)
        said = found.remarks.get((_OWN, figure.key)), found.remarks.get((_PEER, figure.key))
        if own is None and peer is None and not any(said):
            continue
        most = figures.bound(figure, peer)
        verdict = ""
        if own is not None and most is not None:
            verdict = "yes" if own <= most else "NO"
        ratio = f"{own / peer:.2f}" if own is not None and peer else ""
        target = "" if most is None else f"≤ {_number(most)}"
        lines.append(
            [
                figure.what,
                _cell(own, figure.unit, said[0]),
                _cell(peer, figure.unit, said[1]),
                ratio,
                target,
                verdict,
            ]
        )
    return lines


HEADINGS: Final = ("", _OWN, _PEER, "ratio", "target", "reached")


def plain(lines: Sequence[Sequence[str]]) -> str:
    """Return the table for a terminal."""
    everything = [HEADINGS, *lines]
    widths = [max(len(line[column]) for line in everything) for column in range(len(HEADINGS))]
    shown = []
    for line in everything:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        shown.append("  ".join([first, *others]).rstrip())
    return "\n".join(shown)


def page(
    found: figures.Results,
    wanted: Iterable[figures.Figure],
    machine: dict[str, str],
    peer: str,
    runs: str,
    stops: int,
    idle: float,
    lines: str,
    sockets: int,
) -> str:
    """Return docs/benchmarks.md."""
    cells = [
        [f"**{cell}**" if cell == "NO" else cell for cell in line] for line in rows(found, wanted)
    ]
    table = ["| " + " | ".join(HEADINGS) + " |", "|---|" + "---:|" * (len(HEADINGS) - 1)]
    table += ["| " + " | ".join(line) + " |" for line in cells]
    return _PAGE.format(
        machine="\n".join(f"- {name}: {value}" for name, value in machine.items()),
        table="\n".join(table),
        peer=peer,
        runs=runs,
        stops=stops,
        idle=idle,
        lines=lines,
        sockets=sockets,
    )


def document(
    found: figures.Results,
    wanted: Iterable[figures.Figure],
    machine: dict[str, str],
    **words: object,
) -> dict[str, Any]:
    """Return everything, each run's value too, for programs."""
    listed = []
    for figure in wanted:
        entry: dict[str, Any] = {"key": figure.key, "what": figure.what, "unit": figure.unit}
        entry["target"] = figures.bound(figure, found.median(_PEER, figure.key))
        for who in (_OWN, _PEER):
            values = found.values.get((who, figure.key))
            if values:
                entry[who] = {"median": found.median(who, figure.key), "runs": values}
            if (who, figure.key) in found.remarks:
                entry.setdefault(who, {})["remark"] = found.remarks[who, figure.key]
        listed.append(entry)
    return {"version": FORMAT, "machine": machine, "figures": listed, **words}


def _cell(value: float | None, unit: str, remark: str | None) -> str:
    if value is None:
        return f"({remark})" if remark else ""
    shown = f"{_number(value)} {unit}".strip()
    return f"{shown} ({remark})" if remark else shown


def _number(value: float) -> str:
    if value == int(value):
        return f"{int(value)}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
