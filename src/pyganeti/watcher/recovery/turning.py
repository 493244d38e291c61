"""A turn: the due cases of one node are looked at, decided about, and what follows is begun.

One turn a node at a time, and any number of nodes at once, so that a node that is slow to answer
holds up nobody else. An act begins only in the turn that looked at its case: what is acted upon was
seen a moment ago.

Failure: what cannot be looked at stays due.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

from pyganeti.base import errors, log
from pyganeti.clients import luxitasks
from pyganeti.watcher import events
from pyganeti.watcher.recovery import (
    acting,
    cases,
    choosing,
    deciding,
    forgiving,
    looking,
    memory,
    moments,
)

_LOG = log.get(__name__)

_AFTER_A_FAULT: Final = 10.0
_NO_STOP: Final = frozenset({deciding.Step.DONE, deciding.Step.ASIDE})


class Told(Protocol):
    """Who is told how looks went."""

    @property
    def nodes(self) -> Mapping[str, looking.Node]:
        """The nodes as they were seen last."""

    def succeeded(self) -> None:
        """Note that a look succeeded."""

    def failed(self, failure: errors.Failure) -> None:
        """Note that one failed."""

    def stir(self) -> None:
        """Note that there may be more to do."""


class Turns:
    """All turns; ``begin`` has a task begun."""

    def __init__(
        self,
        *,
        master: luxitasks.Client,
        known: cases.Cases,
        remembered: memory.Memory,
        acts: acting.Acting,
        forgives: forgiving.Forgiving,
        begin: Callable[[Coroutine[Any, Any, None]], object],
        told: Told,
        clock: moments.Clock,
    ) -> None:
        self._master = master
        self._cases = known
        self._memory = remembered
        self._acting = acts
        self._forgiving = forgives
        self._begin = begin
        self._told = told
        self._clock = clock
        self.under_way: set[str] = set()
        """The nodes with a turn under way."""

    def begin(self, now: float) -> None:
        """Begin a turn for each node with cases that are due, or ready and next in line."""
        due = self._cases.due(now, self.under_way)
        for one in self._chosen():
            case = self._cases.get(one.name)
            if case is not None and case.node not in self.under_way:
                due.setdefault(case.node, []).append(case)
        for node, several in due.items():
            self.under_way.add(node)
            self._begin(self._turn(node, list({one.name: one for one in several})))

    async def _turn(self, node: str, names: list[str]) -> None:
        begun = self._clock.steady()
        try:
            view = await looking.look(self._master, names)
            for one in view.instances.values():  # before it is decided by what was tried
                self._forgiving.note(one, begun)
            looked_at = [case for name in names if (case := self._cases.get(name)) is not None]
            for case in looked_at:
                # What was heard after the look has to be looked at itself.
                if case.acting_since is None and case.heard <= begun:
                    self._decide(case, view)
            chosen = {one.name for one in self._chosen()}
            for case in looked_at:
                if case.name in chosen and case.decision is not None:
                    self._act(case, case.decision)
            self._told.succeeded()
        except errors.Failure as failure:
            self._told.failed(failure)
        except Exception:  # noqa: BLE001 - the task's top frame: other turns go on
            _LOG.exception("a fault of ours in a turn")
            for name in names:
                if (case := self._cases.get(name)) is not None:
                    case.wait(self._clock.steady() + _AFTER_A_FAULT)
        finally:
            self.under_way.discard(node)
            self._told.stir()

    def _decide(self, case: cases.Case, view: looking.View) -> None:
        """Decide about a case that a look has found as it is in the view."""
        now = self._clock.steady()
        found = view.instances.get(case.name)
        if found is None:
            self._cases.close(case)
            return
        case.node, case.policy = found.node, found.policy
        if not case.stop.is_of(found.node):
            case.stop = cases.Stop()
        decision = deciding.decide(
            found.seen,
            deciding.Fallen(case.stop.cause, now - case.heard, case.waits),
            found.policy,
            self._memory.past(case.name),
            found.jobs,
            spread=case.spread,
        )
        is_news = case.decision is None or case.decision.why != decision.why
        case.decision = decision
        if not case.is_told and decision.step not in _NO_STOP:
            self._acting.tell(events.Kind.STOPPED, case, text="it was found down")
            case.is_told = True
        match decision.step:
            case deciding.Step.DONE:
                _LOG.debug("nothing is to be put right", name=case.name, why=decision.why)
                self._memory.runs(case.name)
                self._cases.close(case)
            case deciding.Step.WAIT:
                case.wait(now + decision.seconds)
            case deciding.Step.ASIDE:
                case.rest()
                if is_news:
                    _LOG.info("an instance is not recovered", name=case.name, why=decision.why)
            case deciding.Step.LEAVE:
                case.rest()
                if self._memory.leave(case.name, case.stop.key):
                    self._acting.tell(events.Kind.LEFT, case, text=decision.why)
            case deciding.Step.START:
                case.is_ready, case.due = True, cases.NEVER
            case _:
                self._act(case, decision)

    def _chosen(self) -> list[choosing.Ready]:
        now = self._clock.steady()
        ready = [
            choosing.Ready(
                case.name,
                case.node,
                0 if case.policy is None else case.policy.priority,
                case.stop.stopped or case.heard,
            )
            for case in self._cases.ready
        ]
        if not ready:
            return []
        begun = [
            choosing.Begun(
                case.name,
                case.node,
                0 if case.policy is None else case.policy.priority,
                now - (case.acting_since or now),
            )
            for case in self._cases.acting
            if case.decision is not None and case.decision.step is deciding.Step.START
        ]
        at_once = {name: node.at_once for name, node in self._told.nodes.items()}
        return choosing.choose(ready, begun, at_once)

    def _act(self, case: cases.Case, decision: deciding.Decision) -> None:
        case.is_ready, case.acting_since = False, self._clock.steady()
        self._begin(self._acting.act(case, decision))
