"""Time, processes and the network: one heap of events, and a loop for each process.

A process that is paused has its loop not run: its timers are late when it goes on, as after
SIGSTOP. One that is killed is never run again. Messages take their time, get lost, come twice, or
meet a cable that is cut. Nothing here waits for real.
"""

import asyncio
import heapq
import itertools
import random
import selectors
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")

_TURNS: Final = 2_000_000
"""Turns of loops in one world: more is a process that goes round in a circle."""


class Stuck(Exception):
    """Nothing will ever happen again, or no end is in sight."""


class _NoFiles(selectors.SelectSelector):
    """Waits for nothing: there are no files in the world."""

    def select(self, timeout: float | None = None) -> list[Any]:
        del timeout
        return []


class Loop(asyncio.SelectorEventLoop):
    """A process's loop: its time is the world's, and threads' work is done at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._world_clock = clock
        super().__init__(_NoFiles())
        self._clock_resolution = 1e-9
        self.faults: list[dict[str, Any]] = []
        self.is_followed = True
        """Whether faults count: what is left of one that was killed is none."""
        self.set_exception_handler(self._note)

    def _note(self, _loop: object, context: dict[str, Any]) -> None:
        if self.is_followed:
            self.faults.append(context)

    def time(self) -> float:
        """Return the world's time."""
        return self._world_clock()

    def run_in_executor(
        self, executor: object, func: Callable[..., T], *args: object
    ) -> asyncio.Future[T]:
        """Do it now."""
        del executor
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is, its waiter's
            done.set_exception(error)
        return done

    def due(self) -> float | None:
        """Return when there is something to do next, None for never."""
        if self._ready:  # type: ignore[attr-defined]
            return 0.0
        scheduled = self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0].cancelled():
            handle = heapq.heappop(scheduled)
            handle._scheduled = False  # noqa: SLF001 - as the loop itself does
            self._timer_cancelled_count -= 1  # type: ignore[attr-defined]
        return float(scheduled[0].when()) if scheduled else None

    def turn(self) -> None:
        """Do what is due."""
        asyncio._set_running_loop(self)  # noqa: SLF001 - there is no other way to run one turn
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(
            firstiter=self._asyncgen_firstiter_hook,  # type: ignore[attr-defined]
            finalizer=self._asyncgen_finalizer_hook,  # type: ignore[attr-defined]
        )
        try:
            self._run_once()  # type: ignore[attr-defined]
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(None)  # noqa: SLF001


class Process:
    """One process of a machine; ``skew`` is what its wall clock shows besides the time.

    Messages go by its machine's ``name``; ``ident`` is this very process.
    """

    def __init__(self, world: "World", name: str, ident: str) -> None:
        self.world = world
        self.name = name
        self.ident = ident
        self.loop = Loop(lambda: world.now)
        self.is_alive = True
        self.is_paused = False
        self.skew = 0.0
        self._work: asyncio.Task[Any] | None = None
        self._beside: set[asyncio.Task[Any]] = set()

    def __repr__(self) -> str:
        return f"Process({self.ident!r})"

    @property
    def runs(self) -> bool:
        """Whether it does anything."""
        return self.is_alive and not self.is_paused

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Have it do something."""
        asyncio._set_running_loop(self.loop)  # noqa: SLF001
        try:
            self._work = self.loop.create_task(work)
            return self._work
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001

    def start_beside(self, work: Coroutine[Any, Any, Any]) -> None:
        """Have it do something besides; what comes of it is nobody's business here."""
        self._beside.add(self.loop.create_task(work))

    def cancel(self) -> None:
        """Have what it was started with come to its end."""
        if self._work is not None:
            self.loop.call_soon(self._work.cancel)

    def clock(self) -> float:
        """Return what its wall clock shows."""
        return 1_700_000_000.0 + self.world.now + self.skew


class World:
    """All of it."""

    def __init__(self, seed: int) -> None:
        self.now = 1000.0
        self.random: Final = random.Random(seed)
        self.processes: list[Process] = []
        self._dead: list[Process] = []
        self.cut: set[tuple[str, str]] = set()
        """Pairs of names of whom the second does not hear the first."""
        self.loss = 0.0
        self.twice = 0.0
        self.slowness = 0.0
        """Of messages: the share that is lost, that comes twice, that takes up to seconds."""
        self.told: Callable[[str], None] = lambda _: None
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._turns = 0

    def process(self, name: str, ident: str = "") -> Process:
        """Make a process."""
        made = Process(self, name, ident or name)
        self.processes.append(made)
        return made

    @property
    def everybody(self) -> list[Process]:
        """All processes that there ever were."""
        return [*self._dead, *self.processes]

    def at(self, delay: float, act: Callable[[], None]) -> None:
        """Have something happen after a while."""
        heapq.heappush(self._events, (self.now + delay, next(self._count), act))

    def say(self, words: str) -> None:
        """Tell whoever looks on."""
        self.told(f"{self.now - 1000:9.3f}  {words}")

    def run(self, until: Callable[[], bool], *, within: float) -> bool:
        """Let time pass until a condition holds; return whether it does after so many seconds."""
        deadline = self.now + within
        while not until():
            coming = self._events[0][0] if self._events else deadline
            for process in self.processes:
                if process.runs and (due := process.loop.due()) is not None:
                    coming = min(coming, due)
            if coming >= deadline:
                self.now = deadline
                return until()
            self.now = max(self.now, coming)
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
            self._turn()
        return True

    def _turn(self) -> None:
        for process in self.processes:
            if process.runs and (due := process.loop.due()) is not None and due <= self.now:
                self._turns += 1
                process.loop.turn()
        for process in [process for process in self.processes if not process.is_alive]:
            process.loop.is_followed = False
            self.processes.remove(process)
            self._dead.append(process)
        if self._turns > _TURNS:
            raise Stuck(f"no end after {self._turns} turns, at {self.now}")

    # The network.

    def send(
        self, source: str, target: str, act: Callable[[], None], *, once: bool = False
    ) -> None:
        """Have something be done when a message arrives, if it does; maybe twice."""
        if (source, target) in self.cut or self.random.random() < self.loss:
            return
        for _ in range(2 if not once and self.random.random() < self.twice else 1):
            delay = self.random.uniform(0.0002, 0.003)
            if self.random.random() < self.slowness:
                delay += self.random.expovariate(1.0)
            self.at(delay, act)

    def ask(
        self, asking: Process, target: str, act: Callable[[], T], *, once: bool = False
    ) -> "asyncio.Future[T]":
        """Have somebody else do something; the answer comes back, if it does.

        What it raises comes back, too.
        """
        answer: asyncio.Future[T] = asking.loop.create_future()

        def arrive() -> None:
            try:
                result = act()
            except Exception as error:  # noqa: BLE001 - for whoever asks
                failure = error
                self.send(target, asking.name, lambda: _settle(asking, answer, failure=failure))
            else:
                self.send(target, asking.name, lambda: _settle(asking, answer, result))

        if asking.is_alive:
            self.send(asking.name, target, arrive, once=once)
        return answer

    def end(self) -> None:
        """Have everything come to its end, that of those that were killed included."""
        self.loss = 1.0
        for process in self.everybody:
            process.is_alive = False  # nothing of what they do now gets anywhere
            for _ in range(50):
                tasks = asyncio.all_tasks(process.loop)
                if not tasks:
                    break
                for task in tasks:
                    task.cancel()
                for _ in range(200):
                    due = process.loop.due()
                    if due is None:
                        break
                    self.now = max(self.now, due)
                    process.loop.turn()
                    if not asyncio.all_tasks(process.loop):
                        break
            process.loop.close()


def _settle(
    asking: Process,
    answer: "asyncio.Future[T]",
    result: T | None = None,
    failure: Exception | None = None,
) -> None:
    def settle() -> None:
        if answer.done():
            return
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(cast("T", result))

    if asking.is_alive:
        asking.loop.call_soon(settle)
