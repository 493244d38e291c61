"""By what right the queue is written: asked before a job is accepted or begun, and after a loss.

A master that is no master any more must promise nothing: a job that it accepts would be a job that
nobody carries out. The election is who knows; this is what the queue asks of it.
"""

from typing import Protocol


class Rights(Protocol):
    """What the queue may do now."""

    @property
    def is_lost(self) -> bool:
        """Whether another is the master, for good."""

    def check(self) -> None:
        """Raise a Failure, in words for whoever asks, unless jobs may be accepted and begun."""

    async def assure(self) -> None:
        """Find out whether there may be another master; raises a Failure if so.

        For when a copy could not be written: perhaps it was the one that another leads by.
        """


class Unquestioned:
    """The rights of a queue that nobody else could have."""

    is_lost = False

    def check(self) -> None:
        """Allow everything."""

    async def assure(self) -> None:
        """Be sure."""


UNQUESTIONED = Unquestioned()
