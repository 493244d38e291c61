"""What the watcher's daemon tells Prometheus: events of recovery, and who was told of them."""

from collections.abc import Callable, Mapping

import prometheus_client
from prometheus_client import metrics_core

from pyganeti.metrics import page as pages
from pyganeti.watcher import events

_SECONDS = (0.5, 1.0, 1.5, 2.5, 5.0, 15.0, 60.0, 300.0)


class Figures:
    """Counts; a listener like the others."""

    def __init__(self, page: pages.Page) -> None:
        self._prefix = page.prefix
        self._registry = page.registry
        self._page = page
        self._events = self._counter(
            "events",
            "What happened with stops, by event and cause: stopped, restarting, restarted, failed,"
            " gave-up, recorded-down, left, forgiven.",
            ["event", "cause"],
        )
        self._seconds = prometheus_client.Histogram(
            f"{page.prefix}_restart_seconds",
            "From a stop to the end of the job that started the instance again.",
            buckets=_SECONDS,
            registry=page.registry,
        )
        self._sent = self._counter(
            "webhook_events",
            "Events of webhooks, by webhook and what became of them: delivered, refused, given-up,"
            " dropped; and tries that failed: try-failed.",
            ["webhook", "outcome"],
        )
        self._kept = self._counter(
            "daemons",
            "Daemons of the node, by what happened: fell; started, failed by the watcher.",
            ["daemon", "what"],
        )
        self._ran = self._counter(
            "programs",
            "Runs of programs in instance-recovery.d: succeeded, failed; and events that they were"
            " not told of: dropped.",
            ["outcome"],
        )

    async def on_event(self, event: events.Event) -> None:
        """Count an event."""
        self._events.labels(event.kind.value, event.cause.value).inc()
        if event.kind is events.Kind.RESTARTED and event.seconds is not None:
            self._seconds.observe(max(0.0, event.seconds))

    def kept(self, daemon: str, what: str) -> None:
        """Count what happened to a daemon of this node."""
        self._kept.labels(daemon, what).inc()

    def sent(self, webhook: str, outcome: str) -> None:
        """Count what became of an event of a webhook, or of a try."""
        self._sent.labels(webhook, outcome).inc()

    def ran(self, outcome: str) -> None:
        """Count a program's run."""
        self._ran.labels(outcome).inc()

    def watch(
        self,
        *,
        is_recovering: Callable[[], bool],
        cases: Callable[[], int],
        owed: Callable[[], Mapping[str, int]],
    ) -> None:
        """Tell more when asked: whether this node's watcher recovers, what, and what is owed."""

        async def source() -> pages.Families:
            waiting = metrics_core.GaugeMetricFamily(
                f"{self._prefix}_webhook_owed",
                "Events that a webhook has not taken yet.",
                labels=["webhook"],
            )
            for name, count in owed().items():
                waiting.add_metric([name], count)
            recovering = metrics_core.GaugeMetricFamily(
                f"{self._prefix}_recovering",
                "Whether this node is the master, whose watcher recovers instances.",
                value=int(is_recovering()),
            )
            fallen = metrics_core.GaugeMetricFamily(
                f"{self._prefix}_fallen",
                "Instances that are not as they should be, as far as this watcher knows.",
                value=cases(),
            )
            return [recovering, fallen, waiting]

        self._page.add("watcher", source)

    def _counter(self, name: str, text: str, labels: list[str]) -> prometheus_client.Counter:
        return prometheus_client.Counter(
            f"{self._prefix}_{name}", text, labels, registry=self._registry
        )
