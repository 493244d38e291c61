"""Taking back what was done, in the opposite order, when a later step fails or is interrupted."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

Step = Callable[[], object]


class Undoing:
    """The steps to take back so far. Each has words for whoever reads that it failed."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell: Final = tell
        self._steps: list[tuple[str, Step]] = []

    def add(self, words: str, step: Step) -> None:
        """Have a step taken if what comes later fails."""
        self._steps.append((words, step))

    def forget(self) -> None:
        """Take nothing back any more: it is all done."""
        self._steps.clear()

    def take_back(self) -> None:
        """Take every step, the last first; one that fails is told, and the others are taken."""
        while self._steps:
            words, step = self._steps.pop()
            try:
                step()
            except Exception as error:  # noqa: BLE001 - whatever it is, the others have to be taken back
                self._tell(f"could not {words}: {error}")


@contextlib.contextmanager
def undoing(tell: Callable[[str], None]) -> Iterator[Undoing]:
    """Take back what was added, unless the block comes to its end; interrupts are failures."""
    steps = Undoing(tell)
    try:
        yield steps
    except BaseException:
        steps.take_back()
        raise
    steps.forget()
