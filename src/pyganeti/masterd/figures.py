"""What the master daemon tells Prometheus: what ends as it ends, the rest when somebody asks.

Instruments are there for as long as the process, over any number of reigns; what belongs to a reign
(queue, configuration, locks) is looked at only while it lasts. No node is asked for any of it.

Labels are of closed sets (methods, opcodes, calls, causes), or the names of the configuration's
nodes: those of nodes that are gone go with them.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import prometheus_client
from prometheus_client import metrics_core

from pyganeti.base import errors
from pyganeti.masterd.backing import backing
from pyganeti.masterd.election import leadership
from pyganeti.masterd.locks import manager
from pyganeti.masterd.queries import nodes
from pyganeti.masterd.server import connections
from pyganeti.metrics import page as pages
from pyganeti.model import cause as causes
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import table as opcodes
from pyganeti.model.recovery import settings as recoveries
from pyganeti.wire import jobfile, luxi, reasontrail

_CALL_SECONDS: Final = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
_WORK_SECONDS: Final = (0.01, 0.1, 0.5, 2.5, 10.0, 60.0, 300.0, 1800.0)
_WAIT_SECONDS: Final = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0)
_MICROSECONDS: Final = 1e6
_TURN: Final = 500
"""Jobs or instances that are looked at before others have their turn."""

_ROLES: Final = {
    "M": "master",
    "C": "candidate",
    "R": "regular",
    "D": "drained",
    "O": "offline",
}
_ADMIN_STATES: Final = ("up", "down", "offline")
_UNDER_WAY: Final = tuple(s for s in jobfile.Status if s not in jobfile.ENDED)
_ENDS: Final = tuple(s for s in jobfile.Status if s in jobfile.ENDED)
_RECOVERY: Final[Mapping[str, str]] = {
    "OP_INSTANCE_STARTUP": "restart",
    "OP_INSTANCE_SHUTDOWN": "record-down",
    "OP_TAGS_SET": "give-up",
}
"""What the watcher's jobs about a stop do, by their opcode."""

_OTHER: Final = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """What is looked at while this daemon leads."""

    leading: leadership.Leadership
    snapshot: Callable[[], Snapshot]
    locks: manager.Manager
    statuses: Callable[[], Iterator[jobfile.Status]]
    is_drained: Callable[[], bool]
    """May block a little."""


class Figures:
    """Counts, and puts all figures on a page."""

    def __init__(self, page: pages.Page) -> None:
        self._page = page
        self._prefix = page.prefix
        self._backing: backing.Backing | None = None
        self._reign: Reign | None = None
        self._doors: list[Callable[[], int]] = []
        self._gave_up: tuple[Snapshot | None, int] = (None, 0)
        self._requests = self._histogram(
            "request_seconds", "How long LUXI requests took, by method.", ["method"], _CALL_SECONDS
        )
        self._requests_failed = self._counter(
            "requests_failed", "LUXI requests that were answered with an error.", ["method"]
        )
        self._calls = self._histogram(
            "rpc_seconds", "How long calls of nodes took, by call.", ["call"], _CALL_SECONDS
        )
        self._calls_failed = self._counter(
            "rpc_failures",
            "Calls of nodes that failed, by node and how: unreached, broken-off, timeout, denied,"
            " refused, deposed, nonsense.",
            ["node", "how"],
        )
        self._submitted = self._counter("jobs_submitted", "Jobs that were accepted.", [])
        self._ended = self._counter("jobs_ended", "Jobs that ended, by how.", ["status"])
        self._waited = self._histogram(
            "job_wait_seconds",
            "From a job's acceptance to the beginning of its work.",
            [],
            _WAIT_SECONDS,
        )
        self._worked = self._histogram(
            "opcode_seconds",
            "From the beginning of an opcode's work to its end, by opcode.",
            ["opcode"],
            _WORK_SECONDS,
        )
        self._failed = self._counter(
            "opcodes_failed", "Opcodes that ended in an error, by opcode.", ["opcode"]
        )
        self._recovered = self._counter(
            "recoveries",
            "The watcher's jobs about stops that ended: restart, record-down or give-up, by cause"
            " of the stop and how the job ended.",
            ["what", "cause", "status"],
        )
        for status in _ENDS:
            self._ended.labels(status.value)
        page.add("standing", self._standing)

    # What is told.

    def accepted(self, count: int) -> None:
        """Count jobs that were accepted."""
        self._submitted.inc(count)

    def ended(self, job: jobfile.Job, status: jobfile.Status) -> None:
        """Count a job that has ended."""
        self._ended.labels(status.value).inc()
        begun = next((op.exec_timestamp for op in job.ops if op.exec_timestamp), None)
        if begun and job.received_timestamp:
            self._waited.observe(_between(job.received_timestamp, begun))
        for op in job.ops:
            name = _opcode(op.input)
            if op.exec_timestamp and op.end_timestamp:
                seconds = _between(op.exec_timestamp, op.end_timestamp)
                self._worked.labels(name).observe(seconds)
                if op.status is jobfile.Status.ERROR:
                    self._failed.labels(name).inc()
        recovery = reasontrail.recovery_of(job.ops[0].input.get("reason")) if job.ops else None
        if recovery is not None:
            what = _RECOVERY.get(_opcode(job.ops[0].input), _OTHER)
            self._recovered.labels(what, _cause(recovery.cause), status.value).inc()

    def called(self, node: str, call: str, seconds: float, failure: str) -> None:
        """Count a call of a node; ``failure`` says how it failed, "" if it did not."""
        self._calls.labels(call).observe(seconds)
        if failure:
            self._calls_failed.labels(node, failure).inc()

    def counted(self, methods: connections.Methods) -> connections.Methods:
        """Return the same methods, counted."""
        return _Counted(methods, self._answered)

    # What is looked at.

    @contextlib.contextmanager
    def kept_in(self, chosen: backing.Backing) -> Iterator[None]:
        """Look at what the cluster is kept in, until left."""
        self._backing = chosen
        try:
            yield
        finally:
            self._backing = None

    @contextlib.contextmanager
    def door(self, clients: Callable[[], int]) -> Iterator[None]:
        """Count the clients of one server more, until left."""
        self._doors.append(clients)
        try:
            yield
        finally:
            self._doors.remove(clients)

    @contextlib.contextmanager
    def during(self, reign: Reign) -> Iterator[None]:
        """Look at a reign, until left."""
        self._reign = reign
        remove = [
            self._page.add("jobs", self._jobs),
            self._page.add("configuration", self._configuration),
            self._page.add("locks", self._locks),
        ]
        try:
            yield
        finally:
            for one in remove:
                one()
            self._reign = None

    async def _standing(self) -> pages.Families:
        kept, reign = self._backing, self._reign
        state, since, epoch, lease = leadership.State.STANDBY, None, 0, None
        if reign is not None:
            standing = reign.leading.standing
            state, since, epoch = standing.state, standing.since, reign.leading.epoch
            if isinstance(reign.leading, leadership.Leasing):
                lease = reign.leading.lease_left
        elif kept is not None and kept.leader is not None:
            epoch = kept.leader.epoch
        store = metrics_core.InfoMetricFamily(
            f"{self._prefix}_store", "What the cluster is kept in."
        )
        if kept is not None:
            store.add_metric([], {"kind": kept.kind})
        return [
            store,
            self._one_of(
                "standing",
                "1 for how this daemon stands: standby, leading, suspended, deposed.",
                "state",
                {one.value: int(one is state) for one in leadership.State},
            ),
            self._gauge(
                "standing_timestamp_seconds", "Since when it leads, in seconds since 1970.", since
            ),
            self._gauge(
                "epoch", "The number of the leadership, of whoever leads; 0 if unknown.", epoch
            ),
            self._gauge(
                "lease_seconds",
                "How long the lease holds by which it leads, where there is one.",
                lease,
            ),
            self._gauge("clients", "LUXI clients.", sum(door() for door in self._doors)),
            *self._store(None if kept is None else kept.dealings),
        ]

    def _store(self, found: backing.Dealings | None) -> pages.Families:
        """Return what there is to be said of a store that is not this node's disk."""
        texts = {
            "store_calls": "Calls of the store (etcd).",
            "store_unanswered": "Calls of the store that no member answered in time.",
            "store_refused": "Calls of the store that it refused: no room, no such lease.",
            "store_undecided": "Changes of which nobody knew in time whether they took effect.",
            "store_undone": "Changes that did after all, and were taken back.",
        }
        families: list[metrics_core.Metric] = []
        for name, text in texts.items():
            family = metrics_core.CounterMetricFamily(f"{self._prefix}_{name}", text)
            if found is not None:
                family.add_metric([], getattr(found, name.removeprefix("store_")))
            families.append(family)
        text = "How long the last call of the store took that was answered."
        last = None if found is None else found.last_seconds
        return [*families, self._gauge("store_call_seconds", text, last)]

    async def _jobs(self) -> pages.Families:
        reign = self._looked_at
        found: Counter[str] = Counter()
        for number, status in enumerate(reign.statuses()):
            found[status.value] += 1
            if number % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        states = [status.value for status in (*_UNDER_WAY, *_ENDS)]
        return [
            self._one_of(
                "jobs",
                "Jobs that are not archived, by status.",
                "status",
                {state: found[state] for state in states},
            ),
            self._gauge(
                "queue_drained",
                "Whether no more jobs are taken.",
                int(await asyncio.to_thread(reign.is_drained)),
            ),
        ]

    async def _configuration(self) -> pages.Families:
        snapshot = self._looked_at.snapshot()
        roles = Counter(nodes.role(snapshot, node) for node in snapshot.nodes.values())
        states: Counter[str] = Counter()
        for number, instance in enumerate(snapshot.instances.values()):
            states[instance.admin_state] += 1
            if number % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        self._forget({node.name for node in snapshot.nodes.values()})
        return [
            self._one_of(
                "nodes",
                "Nodes, by role.",
                "role",
                {word: roles[letter] for letter, word in _ROLES.items()},
            ),
            self._one_of(
                "instances",
                "Instances, by the state in which they are wanted.",
                "admin_state",
                {state: states[state] for state in _ADMIN_STATES},
            ),
            self._gauge(
                "instances_given_up",
                "Instances that are not restarted any more, and not forgiven yet.",
                await self._given_up(snapshot),
            ),
            self._gauge("config_serial", "The configuration's serial number.", snapshot.serial_no),
            self._gauge(
                "config_timestamp_seconds",
                "When the configuration was changed last, in seconds since 1970.",
                snapshot.mtime,
            ),
        ]

    async def _locks(self) -> pages.Families:
        rows = self._looked_at.locks.describe()
        return [
            self._gauge(
                "locks_held", "Locks that somebody holds.", sum(bool(r.owner) for r in rows)
            ),
            self._gauge(
                "lock_waiters",
                "Jobs that wait for locks.",
                len({owner for row in rows for _, owners in row.pending for owner in owners}),
            ),
        ]

    @property
    def _looked_at(self) -> Reign:
        if self._reign is None:
            raise errors.Unavailable("this daemon does not lead")
        return self._reign

    async def _given_up(self, snapshot: Snapshot) -> int:
        """Return how many carry the tag, counted anew only when the configuration has changed."""
        before, count = self._gave_up
        if before is not snapshot:
            count = 0
            for number, instance in enumerate(snapshot.instances.values()):
                count += any(tag.startswith(recoveries.GAVE_UP) for tag in instance.tags)
                if number % _TURN == _TURN - 1:
                    await asyncio.sleep(0)
            self._gave_up = (snapshot, count)
        return count

    def _forget(self, names: set[str]) -> None:
        """Drop the figures of nodes that are in the configuration no more."""
        for family in self._calls_failed.collect():
            for sample in family.samples:
                if sample.labels["node"] not in names:
                    self._calls_failed.remove(sample.labels["node"], sample.labels["how"])

    # How.

    def _answered(self, method: str, seconds: float, *, is_failed: bool) -> None:
        self._requests.labels(method).observe(seconds)
        if is_failed:
            self._requests_failed.labels(method).inc()

    def _histogram(
        self, name: str, text: str, labels: list[str], buckets: tuple[float, ...]
    ) -> prometheus_client.Histogram:
        return prometheus_client.Histogram(
            f"{self._prefix}_{name}", text, labels, buckets=buckets, registry=self._page.registry
        )

    def _counter(self, name: str, text: str, labels: list[str]) -> prometheus_client.Counter:
        return prometheus_client.Counter(
            f"{self._prefix}_{name}", text, labels, registry=self._page.registry
        )

    def _gauge(self, name: str, text: str, value: float | None) -> metrics_core.Metric:
        return metrics_core.GaugeMetricFamily(f"{self._prefix}_{name}", text, value=value)

    def _one_of(
        self, name: str, text: str, label: str, found: Mapping[str, float]
    ) -> metrics_core.Metric:
        family = metrics_core.GaugeMetricFamily(f"{self._prefix}_{name}", text, labels=[label])
        for key, value in found.items():
            family.add_metric([key], value)
        return family


class _Counted:
    """Methods, each request of which is counted when it is answered; not if its client leaves."""

    def __init__(self, methods: connections.Methods, answered: Callable[..., None]) -> None:
        self._methods = methods
        self._answered = answered

    async def perform(self, request: luxi.Request) -> Any:  # noqa: ANN401 - JSON
        """Do what is asked."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            answer = await self._methods.perform(request)
        except Exception:
            self._answered(request.method, loop.time() - begun, is_failed=True)
            raise
        self._answered(request.method, loop.time() - begun, is_failed=False)
        return answer

    def is_question(self, request: luxi.Request) -> bool:
        """Say whether it may be broken off."""
        return self._methods.is_question(request)


def _opcode(given: Mapping[str, Any]) -> str:
    name = given.get("OP_ID")
    return name if isinstance(name, str) and name in opcodes.BY_ID else _OTHER


def _cause(said: str) -> str:
    try:
        return causes.Cause(said).value
    except ValueError:
        return causes.Cause.UNKNOWN.value


def _between(begin: jobfile.Timestamp, end: jobfile.Timestamp) -> float:
    seconds = (end[0] - begin[0]) + (end[1] - begin[1]) / _MICROSECONDS
    return max(0.0, seconds)  # clocks jump
