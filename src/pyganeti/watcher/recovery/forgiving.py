"""Forgives instances that were given up: when somebody says so, or after a day of health.

That one was given up is a tag, so anybody can take it away; what was tried counts no more then.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from pyganeti.model import instancestatus
from pyganeti.watcher import events
from pyganeti.watcher.recovery import acting, backoff, cases, looking, memory


class Forgiving:
    """Notes it; ``begin`` has a task begun."""

    def __init__(
        self,
        *,
        remembered: memory.Memory,
        acts: acting.Acting,
        begin: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._memory = remembered
        self._acting = acts
        self._begin = begin

    def note(self, found: looking.Instance, begun: float) -> None:
        """Take into account how an instance was found by a look that had begun then."""
        gave_up = found.policy.gave_up
        if gave_up is not None:
            self._memory.give_up(found.name)  # by another master, perhaps
            runs = found.seen.status == instancestatus.RUNNING
            if self._memory.healthy_for(found.name, runs=runs) >= backoff.FORGIVEN_AFTER:
                self._memory.healthy_for(found.name, runs=False)  # once, and not at each look
                self._begin(self._acting.forgive(found.name, gave_up))
            return
        given_up = self._memory.given_up(found.name)
        if given_up is None or begun < given_up:
            return
        self._memory.forgive(found.name)
        case = cases.Case(found.name, found.node, cases.Stop(), given_up, cases.NEVER)
        self._acting.tell(events.Kind.FORGIVEN, case, text="it may be started again")
