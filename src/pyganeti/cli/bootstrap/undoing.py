"""Taking back what was done, in the opposite order, when a later step fails or is interrupted."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Final, NoReturn

Step = Callable[[], object]

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    """Take back what was added, unless the block comes to its end; interrupts are failures.

    So are the signals by which a session or a machine ends, where there is nobody else for them.
    While steps are taken back they wait.
    """
    steps = Undoing(tell)
    with _heard() as ignore:
        try:
            yield steps
        except BaseException:
            ignore()
            steps.take_back()
            raise
        steps.forget()


@contextlib.contextmanager
def _heard() -> Iterator[Callable[[], None]]:
    """Have signals interrupt the block; yield what has them do nothing any more."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = {number: signal.signal(number, _interrupt) for number in _ENDING}

    def ignore() -> None:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)

    try:
        yield ignore
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> NoReturn:
    del frame
    raise KeyboardInterrupt(signal.Signals(number).name)
