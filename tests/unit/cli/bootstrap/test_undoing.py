import os
import signal

import pytest

from pyganeti.cli.bootstrap import undoing


def test_a_failure_takes_everything_back_the_last_first() -> None:
    done: list[str] = []
    told: list[str] = []

    def break_down() -> None:
        raise OSError("no disk")

    with pytest.raises(KeyboardInterrupt), undoing.undoing(told.append) as steps:  # noqa: PT012 - it is the block that fails
        steps.add("undo one", lambda: done.append("one"))
        steps.add("undo two", break_down)
        steps.add("undo three", lambda: done.append("three"))
        raise KeyboardInterrupt

    assert done == ["three", "one"]
    assert told == ["could not undo two: no disk"]


def test_success_takes_nothing_back() -> None:
    done: list[str] = []

    with undoing.undoing(done.append) as steps:
        steps.add("undo", lambda: done.append("one"))

    assert not done


def test_a_machine_that_shuts_down_interrupts_and_all_is_taken_back() -> None:
    done: list[str] = []
    before = signal.getsignal(signal.SIGTERM)

    def patient() -> None:
        os.kill(os.getpid(), signal.SIGTERM)  # again: what is taken back is taken back whole
        done.append("patient")

    with pytest.raises(KeyboardInterrupt), undoing.undoing(done.append) as steps:  # noqa: PT012 - it is the block that fails
        steps.add("undo", patient)
        os.kill(os.getpid(), signal.SIGTERM)

    assert done == ["patient"]
    assert signal.getsignal(signal.SIGTERM) is before
