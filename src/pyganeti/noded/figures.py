"""What the node daemon tells Prometheus: calls as they end, and the node as it is when asked.

Stops come from the journal, which counts them for good: their numbers rise over restarts of both
daemons and over pruning. Where the journal cannot be read they are not there at all, for a zero
would look like a new beginning.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import prometheus_client
from prometheus_client import metrics_core

from pyganeti.base import errors
from pyganeti.clients import stopjournal
from pyganeti.metrics import page as pages
from pyganeti.model import cause as causes

_SECONDS: Final = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """How the node is looked at."""

    journal: Path
    guests: Callable[[], Awaitable[Iterable[str]]]
    """The names of those that run; raises OSError."""

    kvmd_runs: Callable[[], bool]
    """May block a little."""

    connections: Callable[[], int]
    calls: Callable[[], int]
    waiting: Callable[[], int]
    epoch: Callable[[], int]


class Figures:
    """Counts calls, and puts all figures on a page."""

    def __init__(self, page: pages.Page, looks: Looks) -> None:
        self._prefix = page.prefix
        self._looks = looks
        self._seconds = prometheus_client.Histogram(
            f"{page.prefix}_call_seconds",
            "How long calls took from the beginning of their work to their answer, by call.",
            ["call"],
            buckets=_SECONDS,
            registry=page.registry,
        )
        self._failed = prometheus_client.Counter(
            f"{page.prefix}_calls_failed",
            "Calls that were not done, by call and how: refused, fault, given-up.",
            ["call", "how"],
            registry=page.registry,
        )
        self._refused = prometheus_client.Counter(
            f"{page.prefix}_requests_refused",
            "Requests that came to no call, by HTTP status.",
            ["status"],
            registry=page.registry,
        )
        page.add("node", self._node)
        page.add("guests", self._guests)
        page.add("stops", self._stops)

    def answered(self, call: str, outcome: str, seconds: float) -> None:
        """Count a call that has ended; ``outcome`` is empty if it did what it should."""
        self._seconds.labels(call).observe(seconds)
        if outcome:
            self._failed.labels(call, outcome).inc()

    def refused(self, status: int) -> None:
        """Count a request that came to no call."""
        self._refused.labels(str(status)).inc()

    async def _node(self) -> pages.Families:
        looks = self._looks
        runs = await asyncio.to_thread(looks.kvmd_runs)
        return [
            self._gauge("kvmd_running", "Whether ganeti-kvmd runs on the node.", int(runs)),
            self._gauge("connections", "Connections that are open.", looks.connections()),
            self._gauge("calls_under_way", "Calls that have not ended.", looks.calls()),
            self._gauge("stops_awaited", "Calls that wait for guests to stop.", looks.waiting()),
            self._gauge(
                "epoch",
                "The number of the latest master that the node follows; 0 before there was one.",
                looks.epoch(),
            ),
        ]

    async def _guests(self) -> pages.Families:
        names = await self._looks.guests()
        return [self._gauge("guests_running", "Guests whose qemu runs.", len(list(names)))]

    async def _stops(self) -> pages.Families:
        family = metrics_core.CounterMetricFamily(
            f"{self._prefix}_stops",
            "Guests that stopped on the node, by cause, since its journal was begun.",
            labels=["cause"],
        )
        totals = await asyncio.to_thread(_totals, self._looks.journal)
        for cause in causes.Cause if totals is not None else ():
            family.add_metric([cause.value], (totals or {}).get(cause.value, 0))
        return [
            family,
            self._gauge(
                "journal_readable",
                "Whether the node's journal of stops can be read.",
                int(totals is not None),
            ),
        ]

    def _gauge(self, name: str, text: str, value: float) -> metrics_core.Metric:
        return metrics_core.GaugeMetricFamily(f"{self._prefix}_{name}", text, value=value)


def _totals(journal: Path) -> dict[str, int] | None:
    try:
        with stopjournal.Reader(journal) as reader:
            return reader.totals()
    except errors.Failure:
        return None
