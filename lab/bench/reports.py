"""Shows what was found: a table for a terminal, JSON for programs; `pages` has the page."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from lab.bench import contestants, figures

FORMAT: Final = 1
_OWN: Final = contestants.Own.title
_PEER: Final = contestants.Peer.title


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


def take_up(found: figures.Results, document: dict[str, Any]) -> None:
    """Add what an earlier `document` found, each run's value and what was remarked."""
    for entry in document["figures"]:
        for who in (_OWN, _PEER):
            told = entry.get(who, {})
            for value in told.get("runs", ()):
                found.add(who, entry["key"], value)
            if "remark" in told:
                found.remark(who, entry["key"], told["remark"])


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
