"""What keeps whoever does not lead from changing anything: a condition in every transaction.

The condition is that the leader's key is the very one that we made: it has the revision of its
making, which no other ever has. `Fence.check` is the same by our own clock; it asks nobody, and
spares etcd what would be refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pyganeti.base import errors
from pyganeti.clients.etcd import messages
from pyganeti.masterd.election import leadership, leased

_UNDER_WAY: Final = "what was being written may have been, or not: look for it"


def _nothing() -> None:
    """Allow everything."""


def _nobody(_why: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Fence:
    """One leadership's condition; at ``created`` 0 it holds while nobody leads at all."""

    key: bytes
    created: int = 0
    check: Callable[[], None] = _nothing
    """Raises NotLeading unless changes may be made now."""

    lose: Callable[[str], None] = _nobody
    """Told why nothing more can be changed by this leadership, though its key is there."""

    @property
    def condition(self) -> messages.Condition:
        """What a transaction has to compare."""
        return messages.Created(self.key, self.created)

    @property
    def look(self) -> messages.Get:
        """What it has to look at where a condition does not hold."""
        return messages.Get(self.key)

    def confirm(self, found: Sequence[messages.Item]) -> None:
        """Raise NotLeading if what was found is not what is wanted."""
        created = found[0].created if found else 0
        if created == self.created:
            return
        if not found:
            raise leadership.NotLeading(f"this node leads no more, and nobody does; {_UNDER_WAY}")
        raise leadership.NotLeading(
            f"this node leads no more: {_name(found[0])} does; {_UNDER_WAY}"
        )


def _name(found: messages.Item) -> str:
    """Return who leads."""
    try:
        return leased.decode_leader(found).name
    except errors.Damaged:
        return "somebody else"
