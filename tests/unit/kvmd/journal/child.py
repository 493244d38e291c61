"""Records stops and is killed while doing so; run as a program by test_journal_killed.

``child.py remember FILE`` makes a journal in which all guests are under watch.
``child.py steps DIRECTORY FIRST LAST EVERY`` forks a child for each step from FIRST on,
with a copy of ``watched.sqlite`` of that directory, which is killed (SIGKILL, by itself) when its
writer thread has made that many calls and returns, until one gets through.
``child.py endless FILE START`` records until it is killed.
Each stop that was reported as stored is written to a file ``told`` or to standard output.
"""

import asyncio
import os
import shutil
import signal
import sys
import threading
import types
from collections.abc import Iterable
from pathlib import Path

from lab import examples
from pyganeti.kvmd.journal import journal
from pyganeti.model import stop

STOPS = 6


async def record_group(kept: journal.Journal, told: int, numbers: Iterable[int]) -> None:
    """Record stops at once, tell of each answer, and wait for them all."""
    stops = [examples.a_stop(number) for number in numbers]
    answered = asyncio.Event()
    left = len(stops)

    def done(one: stop.Stop, outcome: journal.Outcome) -> None:
        nonlocal left
        os.write(told, f"{outcome} {one.key}\n".encode())
        left -= 1
        if not left:
            answered.set()

    for one in stops:
        kept.remember(examples.watched(one))
        kept.record(one, done)
    await answered.wait()


async def record_all(kept: journal.Journal, told: int) -> None:
    """Record the stops in three groups, so that batches of different sizes are killed."""
    for group in ((1,), (2, 3), (4, 5, 6)):
        await record_group(kept, told, group)
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
        shutil.copy(directory / "watched.sqlite", place / "journal.sqlite")
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
    while True:
        size = 1 + start % 7
        await record_group(kept, 1, range(start, start + size))
        start += size


if __name__ == "__main__":
    if sys.argv[1] == "remember":
        remember_all(Path(sys.argv[2]))
    elif sys.argv[1] == "steps":
        in_steps(Path(sys.argv[2]), *(int(word) for word in sys.argv[3:6]))
    else:
        asyncio.run(endlessly(Path(sys.argv[2]), int(sys.argv[3])))
