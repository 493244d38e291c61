"""Records stops and is killed while doing so; run as a program by test_journal_killed.

``journal_child.py steps DIRECTORY FIRST LAST EVERY`` forks a child for each step from FIRST on,
which is killed (SIGKILL, by itself) when its writer thread makes that many calls and returns,
until one gets through. ``journal_child.py endless FILE START`` records until it is killed.
Each stop that was reported as stored is written to a file ``told`` or to standard output.
"""

import asyncio
import os
import signal
import sys
import threading
import types
from pathlib import Path

from lab import examples
from pyganeti.kvmd import journal

STOPS = 6


async def record_all(kept: journal.Journal, told: int) -> None:
    """Record the stops in three groups, so that batches of different sizes are killed."""
    for group in ((1,), (2, 3), (4, 5, 6)):
        left = asyncio.Event()
        count = len(group)

        def done(stop: object, outcome: journal.Outcome) -> None:
            nonlocal count
            os.write(told, f"{outcome} {stop.key}\n".encode())  # type: ignore[attr-defined]
            count -= 1
            if not count:
                left.set()

        for number in group:
            kept.record(examples.a_stop(number), done)
        await left.wait()
        for number in group:
            kept.marker_made(examples.a_stop(number).key)


def remember_all(path: Path) -> None:
    """Make a journal in which the guests are under watch."""
    kept = journal.Journal.open(path)
    kept.load(examples.BOOT)
    for number in range(1, STOPS + 1):
        kept.remember(examples.watched(examples.a_stop(number)))
    kept.close()


def run_until(step: int, path: Path, told: int) -> None:
    """Record, and die at that step of the writer's thread."""
    count = 0

    def at_each(_frame: types.FrameType, _event: str, _what: object) -> None:
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(at_each)
    kept = journal.Journal.open(path)
    kept.load(examples.BOOT)
    asyncio.run(record_all(kept, told))
    kept.close()


def in_steps(directory: Path, first: int, last: int, every: int) -> None:
    """Fork a child for each step until one is not killed, and print how many were."""
    for step in range(first, last, every):
        place = directory / str(step)
        place.mkdir()
        remembering = os.fork()
        if not remembering:
            remember_all(place / "journal.sqlite")
            os._exit(0)
        os.waitpid(remembering, 0)
        pid = os.fork()
        if not pid:
            told = os.open(place / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            run_until(step, place / "journal.sqlite", told)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            sys.stdout.write(f"{step} {status}\n")
            return
    sys.stdout.write(f"{last} killed\n")


async def endlessly(path: Path, start: int) -> None:
    """Record one batch after another, as fast as it goes."""
    kept = journal.Journal.open(path)
    kept.load(examples.BOOT)
    number = start
    while True:
        answered = asyncio.Event()
        count = size = 1 + number % 7

        def done(stop: object, outcome: journal.Outcome) -> None:
            nonlocal count
            os.write(1, f"{outcome} {stop.key}\n".encode())  # type: ignore[attr-defined]
            count -= 1
            if not count:
                answered.set()

        for _ in range(size):
            number += 1
            stop = examples.a_stop(number)
            kept.remember(examples.watched(stop))
            kept.record(stop, done)
        await answered.wait()


if __name__ == "__main__":
    if sys.argv[1] == "steps":
        in_steps(Path(sys.argv[2]), *(int(word) for word in sys.argv[3:6]))
    else:
        asyncio.run(endlessly(Path(sys.argv[2]), int(sys.argv[3])))
