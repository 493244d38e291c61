"""Acts on what was decided about one case, and tells what came of it.

Each act is one job, submitted only while the gate is open, and waited for. What comes of it goes
into the memory and to the listeners; then the case is closed, or due again. Nothing here waits for
a listener or the disk.

Failure: a job that cannot be submitted counts as no attempt and is tried again after growing
pauses. A job that failed counts, and the pauses between attempts are `backoff`'s. Whatever else
goes wrong is logged, and the case is due again.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol

from pyganeti.base import errors, log
from pyganeti.model import cause as causes
from pyganeti.watcher import events
from pyganeti.watcher.recovery import announcing, cases, deciding, memory, moments
from pyganeti.watcher.recovery import jobs as submitting

_LOG = log.get(__name__)

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_CLOSED: Final = 1.0
"""Seconds until a gate that was closed is tried again."""

_NEEDLESS: Final = 0.2
_AT_ONCE: Final = 8
"""Jobs at a time that only record something."""


class Gate(Protocol):
    """Who says whether the watcher may act."""

    def opened(self) -> AbstractContextManager[bool]:
        """Tell whether to act inside this block, which is short."""


class Open:
    """A gate that is always open: for who has nobody to ask."""

    def opened(self) -> AbstractContextManager[bool]:
        """Say yes."""
        return _Yes()


class Acting:
    """Carries steps out; ``stirred`` is called whenever a case may go on."""

    def __init__(
        self,
        *,
        jobs: submitting.Jobs,
        gate: Gate,
        known: cases.Cases,
        remembered: memory.Memory,
        announced: announcing.Announcer,
        clock: moments.Clock,
        stirred: Callable[[], None],
    ) -> None:
        self._jobs = jobs
        self._gate = gate
        self._cases = known
        self._memory = remembered
        self._announcer = announced
        self._clock = clock
        self._stirred = stirred
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def act(self, case: cases.Case, decision: deciding.Decision) -> None:
        """Carry a step out, from the job to what came of it; the case acts already."""
        case.decision = decision
        try:
            if decision.step is deciding.Step.START:  # who may begin was chosen
                await self._act(case, decision)
            else:
                async with self._places:
                    await self._act(case, decision)
        except errors.Failure as failure:
            self._put_off(case, failure)
        except Exception:  # noqa: BLE001 - the task's top frame: others are recovered all the same
            _LOG.exception("a fault of ours in recovering an instance", name=case.name)
            case.wait(self._clock.steady() + _LONGEST_PAUSE)
        finally:
            case.acting_since = None
            if case.news is not None:
                news, case.news = case.news, None
                now = self._clock.steady()
                self._cases.hear(case.name, case.node, news, now, due=now)
            self._stirred()

    def tell(
        self,
        kind: events.Kind,
        case: cases.Case,
        *,
        attempt: int = 0,
        job: int | None = None,
        text: str = "",
        stop: cases.Stop | None = None,
        is_end: bool = False,
    ) -> None:
        """Tell listeners and the log what happened to a case.

        It is about its present stop unless another is given.
        """
        at = self._clock.wall()
        about = stop or case.stop
        cause = case.cause if stop is None else stop.cause or causes.Cause.UNKNOWN
        stopped = about.stopped
        event = events.Event(
            kind=kind,
            instance=case.name,
            node=case.node,
            at=at,
            cause=cause,
            stopped=stopped,
            key=about.key,
            attempt=attempt,
            job=job,
            seconds=max(0.0, at - stopped) if is_end and stopped is not None else None,
            text=text,
        )
        self._announcer.tell(event)
        said = {
            "name": event.instance,
            "node": event.node,
            "cause": str(event.cause),
            **({"attempt": attempt} if attempt else {}),
            **({} if job is None else {"job": job}),
            **({} if event.seconds is None else {"seconds": round(event.seconds, 3)}),
            **({"why": text} if text else {}),
        }
        if kind in {events.Kind.GAVE_UP, events.Kind.FAILED}:
            _LOG.error(_WORDS[kind], **said)
        else:
            _LOG.info(_WORDS[kind], **said)

    async def forgive(self, name: str, at: int) -> None:
        """Take the mark away that an instance was given up: it has been healthy for long."""
        try:
            with self._gate.opened() as may:
                if not may:
                    return
                job = await self._jobs.forgive(name, at)
            await self._jobs.end(job)
        except errors.Failure as failure:
            _LOG.warning("an instance cannot be forgiven", name=name, why=str(failure))

    async def _act(self, case: cases.Case, decision: deciding.Decision) -> None:
        with self._gate.opened() as may:
            if not may:
                case.wait(self._clock.steady() + _CLOSED)
                return
            job = await self._submit(case, decision)
        case.troubles = 0
        match decision.step:
            case deciding.Step.START:
                await self._start(case, decision, job)
            case deciding.Step.RECORD:
                if await self._jobs.end(job) is None:
                    self.tell(events.Kind.RECORDED_DOWN, case, job=job, is_end=True)
                    self._cases.close(case)
                else:
                    case.wait(self._clock.steady() + _NEEDLESS)
            case _:
                await self._jobs.end(job)
                self._memory.give_up(case.name)
                attempt, why = decision.attempt, decision.why
                self.tell(events.Kind.GAVE_UP, case, attempt=attempt, job=job, text=why)
                case.rest()

    async def _submit(self, case: cases.Case, decision: deciding.Decision) -> int:
        name, cause, key = case.name, decision.cause, case.stop.key
        match decision.step:
            case deciding.Step.START:
                job = await self._jobs.start(name, cause, decision.attempt, key)
                self._memory.tried(name, job, cause)
                return job
            case deciding.Step.RECORD:
                source = "admin" if case.policy is None else case.policy.source(cause)
                return await self._jobs.record(name, cause, source, key)
        return await self._jobs.give_up(name, cause, decision.attempt, key, self._clock.wall())

    async def _start(self, case: cases.Case, decision: deciding.Decision, job: int) -> None:
        attempt = decision.attempt
        self.tell(events.Kind.RESTARTING, case, attempt=attempt, job=job)
        try:
            needless = await self._jobs.end(job)
        except errors.Failure as failure:
            self.tell(events.Kind.FAILED, case, attempt=attempt, job=job, text=str(failure))
            case.wait(self._clock.steady())
            return
        if needless is not None:  # by the second look, under the lock
            self._memory.untried(case.name, job)
            _LOG.info("there was nothing to do", name=case.name, job=job, why=str(needless))
            case.wait(self._clock.steady() + _NEEDLESS)
            return
        self.tell(events.Kind.RESTARTED, case, attempt=attempt, job=job, is_end=True)
        self._cases.close(case)

    def _put_off(self, case: cases.Case, failure: errors.Failure) -> None:
        case.troubles += 1
        pause = min(_FIRST_PAUSE * 2.0 ** min(case.troubles - 1, 10), _LONGEST_PAUSE)
        pause *= 1 - 0.2 * case.spread
        if case.troubles == 1:
            _LOG.warning("an instance cannot be recovered now", name=case.name, why=str(failure))
        case.wait(self._clock.steady() + pause)


_WORDS: Final = {
    events.Kind.STOPPED: "a stop was seen",
    events.Kind.RESTARTING: "an instance is being restarted",
    events.Kind.RESTARTED: "an instance was restarted",
    events.Kind.FAILED: "an instance could not be restarted",
    events.Kind.GAVE_UP: "restarting an instance is given up",
    events.Kind.RECORDED_DOWN: "an instance is recorded as down",
    events.Kind.LEFT: "an instance is left as it is",
    events.Kind.FORGIVEN: "an instance is forgiven",
}


class _Yes(AbstractContextManager[bool]):
    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        return None
