"""Recovery as a whole: hears of stops, looks, decides, acts; as long as this node is the master.

Four things go on at once. Each node's stops are followed, and make cases. For each node with cases
that are due, a *turn* looks at them, decides, and has acts begin; what begins was looked at within
that turn. Acts are jobs, some at a time. And now and then a *sweep* looks at all instances: for
those that nobody told of, and for those with which nothing could be done so far.

Invariants: a case is in one turn or one act at a time, hence never two jobs for one instance at
once; a case ends only by a look that finds that there is nothing to be put right, or by an act; a
node that is slow or gone holds up nobody's turn but its own.

Failure: while the master daemon does not answer everything waits, and nothing is lost. Killed at
any point, the next run (here, or on another master) finds what it has to know: stops behind the
mark, jobs in the queue, instances that are down.
"""

import asyncio
import contextlib
import random
from collections.abc import Iterable
from typing import Final

from pyganeti.base import errors, log, paths
from pyganeti.clients import luxitasks
from pyganeti.clients import node as nodeclient
from pyganeti.model import cause as causes
from pyganeti.model import stop as stops
from pyganeti.watcher import events
from pyganeti.watcher.recovery import (
    acting,
    announcing,
    cases,
    deciding,
    following,
    forgiving,
    jobs,
    looking,
    memory,
    mentions,
    moments,
    sweeping,
    turning,
)

_LOG = log.get(__name__)

FILE: Final = "watcher.recovery.data"
"""In the directory of what stays; see `memory`."""

_SWEEP: Final = 30.0
_BLIND_SWEEP: Final = 5.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 3.0
_BEGIN_PATIENCE: Final = 3.0
_SAVE_PAUSE: Final = 1.0
_CLOSED: Final = 1.0
"""Seconds until a gate that was closed is tried again."""

_EVENTS_AT_END: Final = 3.0
_UNTOLD: Final = 5.0
"""Seconds that a node with a journal has to tell of a stop that was found, and is not on record."""

_NODE_CAME_BACK: Final = 1.0
"""Seconds in which the sweep after a host's boot has to find all that fell with it."""

_SOON: Final = _UNTOLD + 1.0
"""Seconds for which one pass waits for a case that is due soon."""

_PASS_LIMIT: Final = 900.0


class Recoverer:
    """Recovers; `run` for as long as that is wanted, or `once`. An object is for one of them."""

    def __init__(
        self,
        layout: paths.Paths,
        caller: nodeclient.Caller,
        *,
        gate: acting.Gate | None = None,
        listeners: Iterable[events.Listener] = (),
        clock: moments.Clock | None = None,
        sweep: float = _SWEEP,
    ) -> None:
        """``caller`` calls this cluster's nodes; ``gate`` says whether we may act."""
        self._layout = layout
        self._caller = caller
        self._clock = clock or moments.Clock()
        self._sweep_pause = sweep
        self._gate = gate or acting.Open()
        self._is_pass = False
        self._master = luxitasks.Client(layout)
        self._memory = memory.Memory(layout.state_dir / FILE, self._clock)
        self._cases = cases.Cases()
        self._announcer = announcing.Announcer(listeners)
        self._acting = acting.Acting(
            jobs=jobs.Jobs(self._master),
            gate=self._gate,
            known=self._cases,
            remembered=self._memory,
            announced=self._announcer,
            clock=self._clock,
            stirred=self.stir,
        )
        self._group = asyncio.TaskGroup()
        self._forgiving = forgiving.Forgiving(
            remembered=self._memory, acts=self._acting, begin=self._group.create_task
        )
        self._turns = turning.Turns(
            master=self._master,
            known=self._cases,
            remembered=self._memory,
            acts=self._acting,
            forgives=self._forgiving,
            begin=self._group.create_task,
            told=self,
            clock=self._clock,
        )
        self._stirred = asyncio.Event()
        self._changed = asyncio.Event()
        self.nodes: dict[str, looking.Node] = {}
        """The nodes as they were seen last, by name."""

        self._followed: dict[str, tuple[following.Following, asyncio.Task[None]]] = {}
        self._sweeping: asyncio.Task[None] | None = None
        self._sweep_at = 0.0
        self._strays: dict[str, str] = {}
        self._not_before = 0.0
        self._failures = 0

    async def run(self) -> None:
        """Recover until cancelled."""
        await self._recover()

    async def once(self) -> None:
        """Put right what can be put right now, and return; raises Failure without a master daemon.

        What has to wait longer than a few seconds is left to the next pass.
        """
        self._is_pass = True
        try:
            async with asyncio.timeout(_PASS_LIMIT):
                await self._recover()
        except TimeoutError as error:
            raise errors.Interrupted(
                f"what fell was not put right within {_PASS_LIMIT:g} s; the next pass goes on"
            ) from error

    @property
    def open_cases(self) -> int:
        """How many instances are not as they should be, as far as is known."""
        return len(self._cases)

    async def _recover(self) -> None:
        await asyncio.to_thread(self._memory.load)
        self._announcer.start()
        try:
            async with self._group as group:
                await self._begin()
                saving = group.create_task(self._keep_saving())
                await self._go_on()
                saving.cancel()
                for _, task in self._followed.values():
                    task.cancel()
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        finally:
            self._memory.write(self._memory.content())
            self._master.close()
            await self._announcer.close(_EVENTS_AT_END)

    async def _begin(self) -> None:
        """Learn what was tried, and where the nodes' journals are; then the first sweep is due."""
        while True:
            try:
                jobs_so_far = await looking.history(self._master)
                self._memory.forget(mentions.forgiven(jobs_so_far))
                self._memory.add(mentions.attempts(jobs_so_far))
                self._meet(await looking.look(self._master, []))
                break
            except errors.Failure as failure:
                if self._is_pass:
                    raise
                self.failed(failure)
            await asyncio.sleep(max(0.0, self._not_before - self._clock.steady()))
        begun = [one.begun.wait() for one, _ in self._followed.values()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BEGIN_PATIENCE):
                await asyncio.gather(*begun)
        _LOG.info("recovery begins", nodes=len(self.nodes))

    async def _go_on(self) -> None:
        swept = False
        while True:
            now = self._clock.steady()
            if now >= self._not_before:
                if not self._is_open():
                    if self._is_pass:
                        return
                    self._not_before = now + _CLOSED
                else:
                    if now >= self._sweep_at and self._sweeping is None:
                        swept = True
                        self._sweeping = self._group.create_task(self._sweep())
                    self._turns.begin(now)
            if self._is_pass and swept and self._is_idle():
                return
            await self._until_stirred()

    def _is_open(self) -> bool:
        with self._gate.opened() as may:
            return may

    # What is heard.

    def stir(self) -> None:
        """Have it looked whether there is something to be done."""
        self._stirred.set()
        if self._memory.is_changed:
            self._changed.set()

    async def _until_stirred(self) -> None:
        sweep = self._sweep_at if self._sweeping is None else cases.NEVER
        # Those on a node with a turn under way have to wait for its end, which stirs.
        mine = self._cases.next_due(self._turns.under_way)
        due = max(min(mine, sweep), self._not_before)
        pause = min(max(0.0, due - self._clock.steady()), self._sweep_pause)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stirred.wait()
        self._stirred.clear()

    def _meet(self, view: looking.View) -> None:
        """Follow the nodes that there are, and none that there are not."""
        self.nodes = dict(view.nodes)
        wanted = {name: node for name, node in self.nodes.items() if node.is_followed}
        for name, (one, task) in list(self._followed.items()):
            if name not in wanted or wanted[name].address != one.address:
                task.cancel()
                del self._followed[name]
        for name, node in wanted.items():
            if name not in self._followed:
                one = following.Following(
                    name,
                    node.address,
                    self._caller,
                    mark=self._memory.mark(name),
                    taken=self._hear,
                    denied=self._renew,
                )
                coroutine = one.catch_up() if self._is_pass else one.run()
                self._followed[name] = one, self._group.create_task(coroutine)

    def _renew(self) -> None:
        """Show and trust other certificates: the old ones may have been replaced."""
        try:
            self._caller.renew(nodeclient.context_of(self._layout))
        except errors.Failure as failure:
            _LOG.warning("the certificates cannot be read", why=str(failure))

    def _hear(
        self, node: str, found: tuple[stops.Stop, ...], mark: str | None, *, again: bool
    ) -> None:
        now = self._clock.steady()
        before = self._memory.recorded(node)
        for stop in found:
            heard = cases.Stop(stop.cause, stop.key, stop.stopped, node)
            due = now
            if stop.cause is causes.Cause.HOST_REBOOT:
                due, self._sweep_at = now + _NODE_CAME_BACK, now
            case = self._cases.hear(stop.name, node, heard, now, due=due)
            # Its clock may have been set back: times tell only what cannot be told by the mark.
            if not again or stop.recorded > before:
                self._acting.tell(events.Kind.STOPPED, case, stop=heard, text=stop.why)
        if mark is not None:
            latest = max((stop.recorded for stop in found), default=before)
            self._memory.advance(node, mark, max(latest, before) if again else latest)
        self.stir()

    # Sweeps.

    async def _sweep(self) -> None:
        begun = self._clock.steady()
        try:
            view = await looking.look(self._master, None)
            self._meet(view)
            found = sweeping.fallen(view)
            new = [one for one in found if self._cases.get(one.name) is None]
            known = await sweeping.recorded(self._caller, self.nodes, new)
            if known.stops:
                jobs_so_far = await looking.history(self._master)
                known = sweeping.without_older(known, mentions.begun(jobs_so_far), self._memory)
            new = await self._without_strays(new, known)
            self._adopt(view, new, known, begun)
            self.succeeded()
        except errors.Failure as failure:
            self.failed(failure)
        except Exception:  # noqa: BLE001 - the task's top frame: there will be others
            _LOG.exception("a fault of ours in a sweep")
        finally:
            is_blind = any(one.is_blind for one, _ in self._followed.values())
            pause = min(_BLIND_SWEEP, self._sweep_pause) if is_blind else self._sweep_pause
            if self._sweep_at <= begun:  # else somebody wants another one
                self._sweep_at = self._clock.steady() + pause * random.uniform(0.9, 1.0)
            self._sweeping = None
            self.stir()

    async def _without_strays(
        self, new: list[looking.Instance], known: sweeping.Recorded
    ) -> list[looking.Instance]:
        """Leave those out that are on no record, and run where they do not belong."""
        lost = [one for one in new if one.name not in known.stops]
        strays = await sweeping.astray(self._caller, self.nodes, lost)
        for name in strays.keys() - self._strays.keys():
            _LOG.error("an instance runs where it does not belong", name=name, node=strays[name])
        self._strays = strays
        return [one for one in new if one.name not in strays]

    def _adopt(
        self,
        view: looking.View,
        new: list[looking.Instance],
        known: sweeping.Recorded,
        begun: float,
    ) -> None:
        """Make cases of what was found, and decide anew about those that rest."""
        now = self._clock.steady()
        for one in new:
            if self._cases.get(one.name) is None:
                stop = known.stops.get(one.name)
                due = now if stop or one.node not in known.telling else now + _UNTOLD
                stop = stop or cases.Stop()
                # Not fresh: it was found, so what seems to run does.
                case = self._cases.hear(one.name, one.node, stop, now, due=due)
                case.heard = now - deciding.FRESH
                told_before = self._memory.recorded(one.node)
                case.is_told = stop.stopped is not None and stop.stopped <= told_before
        for case in self._cases:
            if case.acting_since is not None or case.is_ready:
                continue
            if case.name not in view.instances and case.heard < begun:
                self._cases.close(case)
            elif case.due == cases.NEVER or case.stop.cause is causes.Cause.HOST_REBOOT:
                # All that fell with a host are decided about together, for their order.
                case.due = now
        for one in view.instances.values():
            self._forgiving.note(one, begun)
        self._memory.keep_only(view.instances)

    # What goes wrong, and what is kept.

    def succeeded(self) -> None:
        """Note that the cluster could be looked at."""
        self._failures = 0

    def failed(self, failure: errors.Failure) -> None:
        """Note that it could not; everything waits for a while."""
        self._failures += 1
        if self._failures == 1:
            _LOG.warning("the cluster cannot be looked at", why=str(failure))
        pause = min(_FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10), _LONGEST_PAUSE)
        self._not_before = self._clock.steady() + pause * random.uniform(0.8, 1.0)

    def _is_idle(self) -> bool:
        soon = self._clock.steady() + _SOON
        return not (
            self._turns.under_way
            or self._cases.acting
            or self._cases.ready
            or self._sweeping is not None
            or self._cases.next_due(self._turns.under_way) <= soon
            or any(not task.done() for _, task in self._followed.values())
        )

    async def _keep_saving(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            content = self._memory.content()
            await asyncio.to_thread(self._memory.write, content)
            await asyncio.sleep(_SAVE_PAUSE)
