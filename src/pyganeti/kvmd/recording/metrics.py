"""What the daemon counts, and how it is written for Prometheus' text file collector.

Plain integers: a library would cost more memory than the guests of a whole node.
"""

import bisect
import collections
from typing import Final

from pyganeti.model import cause as causes

_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.03, 0.1, 0.5, 2.5)


class Histogram:
    """How often a number of seconds fell below each bound, as Prometheus counts it."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts = [0] * (len(_BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self._counts[bisect.bisect_left(_BUCKETS, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self._counts)

    def cumulative(self) -> list[tuple[str, int]]:
        """Return the bounds as text, +Inf last, each with the count up to it."""
        rows = []
        seen = 0
        for bound, count in zip((*map(str, _BUCKETS), "+Inf"), self._counts, strict=True):
            seen += count
            rows.append((bound, seen))
        return rows


class Metrics:
    """The daemon's counters; whoever makes a thing happen counts it here."""

    def __init__(self) -> None:
        self.stops: collections.Counter[causes.Cause] = collections.Counter()
        self.watched = 0
        self.waiting = 0
        self.retries = 0
        self.rescans = 0
        self.events = 0
        self.events_ended = 0
        self.garbage = 0
        self.garbage_ended = 0
        self.journal_pending = 0
        self.journal_failing = False
        self.hooks_dropped = 0
        self.verdict_seconds = Histogram()

    def stopped(self, cause: causes.Cause) -> None:
        """Count a stop."""
        self.stops[cause] += 1

    def render(self) -> str:
        """Return everything in Prometheus' text format; every cause appears, if only as 0."""
        lines: list[str] = []
        _head(lines, "stops_total", "counter", "Guests that stopped, by cause.")
        lines.extend(
            f'ganeti_kvmd_stops_total{{cause="{cause}"}} {self.stops[cause]}'
            for cause in causes.Cause
        )
        for name, kind, text, value in (
            ("watched_guests", "gauge", "Guests under watch.", self.watched),
            ("waiting_sockets", "gauge", "Sockets that cannot be used yet.", self.waiting),
            ("connection_retries_total", "counter", "Attempts that failed.", self.retries),
            ("rescans_total", "counter", "Times the directory was read whole.", self.rescans),
            ("events_total", "counter", "Messages that bear on no stop.", self.events),
            ("garbage_lines_total", "counter", "Lines that were not QMP.", self.garbage),
            ("journal_pending_rows", "gauge", "Stops not yet written.", self.journal_pending),
            (
                "journal_failing",
                "gauge",
                "Whether it cannot be written.",
                int(self.journal_failing),
            ),
            ("hooks_dropped_total", "counter", "Hook runs given up.", self.hooks_dropped),
        ):
            _head(lines, name, kind, text)
            lines.append(f"ganeti_kvmd_{name} {value}")
        _head(lines, "verdict_seconds", "histogram", "From a stop's verdict to its record.")
        lines.extend(
            f'ganeti_kvmd_verdict_seconds_bucket{{le="{bound}"}} {count}'
            for bound, count in self.verdict_seconds.cumulative()
        )
        lines.append(f"ganeti_kvmd_verdict_seconds_sum {self.verdict_seconds.total:.6f}")
        lines.append(f"ganeti_kvmd_verdict_seconds_count {self.verdict_seconds.count}")
        return "\n".join(lines) + "\n"


def _head(lines: list[str], name: str, kind: str, text: str) -> None:
    lines.append(f"# HELP ganeti_kvmd_{name} {text}")
    lines.append(f"# TYPE ganeti_kvmd_{name} {kind}")
