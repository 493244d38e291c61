"""Reads a daemon's page of figures as Prometheus does, with the library's own parser.

figures = await scraping.scrape(address)
assert figures.value("ganeti_noded_guests_running") == 3
"""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import metrics_core, parser, samples

from lab.cluster import machines
from pyganeti.metrics import address as addresses

_DOCUMENT: Final = Path(__file__).parents[1] / "docs/metrics.md"
_COLUMNS: Final = 4
_PATIENCE: Final = 20.0
_REQUEST: Final = "GET /metrics HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Figures:
    """A page, understood."""

    families: Mapping[str, metrics_core.Metric]

    def value(self, name: str, **labels: str) -> float | None:
        """Return a sample's value, None if there is none with exactly these labels."""
        found = [s.value for s in self._samples() if s.name == name and s.labels == labels]
        return found[0] if found else None

    def values(self, name: str, label: str) -> dict[str, float]:
        """Return all samples of a name, by one of their labels."""
        return {s.labels[label]: s.value for s in self._samples() if s.name == name}

    def _samples(self) -> Iterator[samples.Sample]:
        for family in self.families.values():
            yield from family.samples


def read(text: str) -> Figures:
    """Understand a page; raises ValueError if that cannot be done."""
    found = list(parser.text_string_to_metric_families(text))
    names = [family.name for family in found]
    if len(set(names)) != len(names):
        raise ValueError(f"a family is there twice: {sorted(names)}")
    return Figures({family.name: family for family in found})


async def ask(address: addresses.Address, request: str | bytes = "") -> bytes:
    """Send a request, a usual one unless another is given; return everything that comes back."""
    said = request or _REQUEST.format(address)
    async with asyncio.timeout(_PATIENCE):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        try:
            writer.write(said.encode() if isinstance(said, str) else said)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()


async def scrape(address: addresses.Address) -> Figures:
    """Return the figures of now."""
    head, _, body = (await ask(address)).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    if lines[0] != "HTTP/1.1 200 OK" or f"Content-Length: {len(body)}" not in lines:
        raise ValueError(f"not a page of figures: {lines}")
    return read(body.decode())


def on(machine: machines.Machine, port: int) -> Figures:
    """Return the figures of the daemon that serves them on a machine's loopback address."""
    script = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
    address = f"http://127.0.0.1:{port}/metrics"
    done = machine.run(sys.executable, "-c", script, address)
    if done.returncode:
        raise OSError(done.stderr)
    return read(done.stdout)


@dataclass(frozen=True, slots=True)
class Described:
    """What there is to be known of a family without its samples."""

    kind: str
    labels: tuple[str, ...]
    help: str


def described(figures: Figures) -> dict[str, Described]:
    """Return what a page says of its own families; labels only of those that have samples."""
    return {
        name: Described(family.type, _labels(family), family.documentation)
        for name, family in figures.families.items()
        if not name.startswith("process_")
    }


def documented(daemon: str) -> dict[str, Described]:
    """Return what docs/metrics.md says of a daemon's families."""
    found = {}
    for line in _DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith(f"| `ganeti_{daemon}_") and len(cells) == _COLUMNS:
            name, kind, labels, text = cells
            family = name.strip("`").removesuffix("_total" if kind == "counter" else "")
            known = tuple(sorted(labels.replace("`", "").replace(",", " ").split()))
            found[family] = Described(kind, known, text)
    return found


def differences(figures: Figures, daemon: str, *, partly: bool = False) -> list[str]:
    """Return in which ways a page is not what the document says; ``partly``: not all is there."""
    served, written = described(figures), documented(daemon)
    found = [f"{name} is not documented" for name in served.keys() - written.keys()]
    missing = () if partly else written.keys() - served.keys()
    found += [f"{name} is not served" for name in missing]
    for name in served.keys() & written.keys():
        one, other = served[name], written[name]
        if (one.kind, one.help) != (other.kind, other.help):
            found.append(f"{name} is {one}, and documented as {other}")
        if figures.families[name].samples and one.labels != other.labels:
            found.append(f"{name} has labels {one.labels}, and documented are {other.labels}")
    return sorted(found)


def rows(figures: Figures) -> list[str]:
    """Return a page's families as rows of the document: `python -m lab.scraping ADDRESS:PORT`."""
    found = []
    for name, one in sorted(described(figures).items()):
        suffix = {"counter": "_total"}.get(one.kind, "")
        labels = ", ".join(f"`{label}`" for label in one.labels)
        found.append(f"| `{name}{suffix}` | {one.kind} | {labels} | {one.help} |")
    return found


def _labels(family: metrics_core.Metric) -> tuple[str, ...]:
    return tuple(sorted({label for s in family.samples for label in s.labels} - {"le"}))


if __name__ == "__main__":
    where = addresses.parse(sys.argv[1])
    if where is not None:
        print("\n".join(rows(asyncio.run(scrape(where)))))
