"""A job queue that kills itself with SIGKILL at one exact step towards the disk, and comes back.

    python -m lab.dyingqueue DIRECTORY PART OF      # every OF-th step of one day, from PART on
    python -m lab.dyingqueue DIRECTORY < LINES      # each line a JSON array: a step, and a day

The product has no switches for that. A child of this process runs the queue under a profiler's hook
that sees every call of the kernel in the modules that write: at the STEP-th of these it dies,
before the call or after it, in whichever thread. Then another queue takes up what lies there. What
the child did and told to others is in a file beside the queue, where a kill cannot undo it; with
what is found afterwards it must agree. Whoever tries 1, 2, 3, … until the child lives on has tried
a crash between any two things that reach the disk.

A day is a list of acts, such as ``["submit", 2]``; which there are `_act` says. Prints a line for
each: ``ok``, ``lived`` if there was no such step, or which promise was broken; and on standard
error where it died.
"""

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from lab import carriers, jobs
from pyganeti.masterd.jobs import queue, refusals, work

_WATCHED: Final = frozenset({"pyganeti.masterd.jobs.files", "pyganeti.base.files"})
_CALLS: Final = frozenset({"open", "write", "fsync", "rename", "unlink", "close"})
_PATIENCE: Final = 20.0


class Broken(Exception):
    """A promise was not kept."""


class Death:
    """The hook; ``step`` counts from 1."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._steps = itertools.count(1)

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:  # noqa: ANN401 - any value
        """Take a step of any thread."""
        if event not in {"c_call", "c_return"} or frame.f_globals.get("__name__") not in _WATCHED:
            return
        if getattr(arg, "__name__", "") in _CALLS and next(self._steps) == self._step:
            code = frame.f_code
            where = f"{event} {arg.__name__} in {code.co_name}:{frame.f_lineno}"
            os.write(2, f"step {self._step}: dies at {where}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


class Diary:
    """What was done and told, a line each, in a file that outlives its writer."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._path = path

    def say(self, *words: object) -> None:
        """Add a line, in one piece."""
        os.write(self._fd, (" ".join(str(word) for word in words) + "\n").encode())

    def lines(self) -> list[list[str]]:
        """Return the lines, as words."""
        return [line.split() for line in self._path.read_text().splitlines()]

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Doer(carriers.Carrier):
    """Does things that cannot be undone: lines in the diary."""

    def __init__(self, diary: Diary) -> None:
        super().__init__()
        self._diary = diary

    async def perform(self, opcode: dict[str, Any], run: work.Run) -> Any:  # noqa: ANN401, ARG002
        """Begin, do, and say something."""
        await run.begin()
        self._diary.say("did", run.job_id, run.index)
        run.log("done")
        return run.job_id


DAY: Final[tuple[list[Any], ...]] = (
    ["submit", 2],
    ["many", [[[], 0], [[-1], 10], [[], 10]]],
    ["cancel", 3],
    ["wait", 0],
    ["wait", 1],
    ["archive", 0],
    ["submit", 1],
    ["priority", 2, 5],
    ["wait", 2],
    ["wait", 4],
)


def main() -> None:
    """Try steps."""
    directory = Path(sys.argv[1])
    if len(sys.argv) > 2:
        part, of = (int(word) for word in sys.argv[2:4])
        for step in itertools.count(1 + part, of):
            said = _try(directory, step, DAY)
            print(said, flush=True)
            if said != "ok":
                break
    else:
        for line in sys.stdin:
            step, day = json.loads(line)
            print(_try(directory, step, day), flush=True)
    shutil.rmtree(directory, ignore_errors=True)


def _try(directory: Path, step: int, day: Sequence[list[Any]]) -> str:
    """Have a child die at a step of a day, come back, and return what is to be said of it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    diary = Diary(directory / "diary")
    child = os.fork()
    if child == 0:
        _live(directory, diary, Death(step), day)
    _, status = os.waitpid(child, 0)
    has_died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not has_died and status != 0:
        return f"step {step}: the child failed"
    try:
        asyncio.run(_come_back(directory, diary))
    except Broken as error:
        return f"step {step}: {error}"
    finally:
        diary.close()
    return "ok" if has_died else "lived"


def _live(directory: Path, diary: Diary, hook: Death, day: Sequence[list[Any]]) -> None:
    """Do everything that a day has, until death; in a process of its own."""
    threading.setprofile(hook)
    sys.setprofile(hook)
    try:
        asyncio.run(_scenario(directory, diary, day))
    except BaseException as error:  # noqa: BLE001 - the process's top frame
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)
    os._exit(0)


async def _scenario(directory: Path, diary: Diary, day: Sequence[list[Any]]) -> None:
    place = directory / "queue"
    numbers: list[int] = []
    async with queue.Queue(place, Doer(diary), limit=lambda: 1) as found:
        for act in day:
            await _act(found, place, diary, numbers, act)


async def _act(
    found: queue.Queue, place: Path, diary: Diary, numbers: list[int], act: list[Any]
) -> None:
    """Do one thing; jobs are named by the order in which they were accepted."""
    match act:
        case ["submit", count]:
            numbers.append(await found.submit([carriers.opcode()] * count))
            diary.say("accepted", numbers[-1])
        case ["many", wanted]:
            made = await found.submit_many(
                [
                    [carriers.opcode(depends=[[d, ["success"]] for d in depends], priority=level)]
                    for depends, level in wanted
                ]
            )
            for is_accepted, number in made:
                if is_accepted:
                    numbers.append(number)
                    diary.say("accepted", number)
        case [str(), int(index), *_] if index >= len(numbers):
            return
        case ["cancel", index]:
            if (await found.cancel(numbers[index]))[0]:
                diary.say("told", numbers[index], "canceled")
        case ["priority", index, level]:
            await found.change_priority(numbers[index], level)
        case ["archive", index]:
            if await found.archive(numbers[index]):
                diary.say("archived", numbers[index])
        case ["wait", index]:
            with contextlib.suppress(refusals.JobLost):
                [state] = await jobs.ended(found, numbers[index], patience=_PATIENCE)
                diary.say("told", numbers[index], state)
        case ["remove", index]:
            with contextlib.suppress(FileNotFoundError):
                (place / f"job-{numbers[index]}").unlink()
                diary.say("removed", numbers[index])


async def _come_back(directory: Path, diary: Diary) -> None:
    """Take up what lies there, and compare it with what was done and told."""
    lines = diary.lines()
    accepted = [int(words[1]) for words in lines if words[0] == "accepted"]
    told = {int(words[1]): words[2] for words in lines if words[0] == "told"}
    archived = {int(words[1]) for words in lines if words[0] == "archived"}
    removed = {int(words[1]) for words in lines if words[0] == "removed"}
    did = [(int(words[1]), int(words[2])) for words in lines if words[0] == "did"]
    async with queue.Queue(directory / "queue", Doer(diary)) as found:
        numbers = found.numbers
        states = dict(
            zip(numbers, await jobs.ended(found, *numbers, patience=_PATIENCE), strict=True)
        )
        for number in await _archived(found, accepted, archived, removed):
            states[number] = await jobs.state(found, number)
        for number, state in told.items():
            if number not in removed and states[number] != state:
                raise Broken(f"job {number} was told to be {state}, and is {states[number]}")
        done = [(int(w[1]), int(w[2])) for w in diary.lines() if w[0] == "did"]
        if len(done) != len(set(done)):
            raise Broken(f"something was done twice: {done}")
        for number, state in states.items():
            await _compare(found, number, state, {i for n, i in done if n == number})
        for number, _ in did:
            if number not in states and number not in removed:
                raise Broken(f"job {number} was begun, and is lost")
        fresh = await found.submit([carriers.opcode()])
        if fresh in {*accepted, *numbers, *(number for number, _ in done)}:
            raise Broken(f"the number {fresh} was given out twice")


async def _archived(
    found: queue.Queue, accepted: list[int], archived: set[int], removed: set[int]
) -> list[int]:
    """Look whether every job is where it should be; return which are archived."""
    away = []
    for number, job in await found.get(accepted, archived=True):
        if number in removed:
            if job is not None:
                raise Broken(f"job {number} was removed by hand, and is back")
        elif job is None:
            raise Broken(f"job {number} was accepted, and is lost")
        elif job.is_archived:
            away.append(number)
        elif number in archived:
            raise Broken(f"job {number} was archived, and is back")
    return away


async def _compare(found: queue.Queue, number: int, state: str, done: set[int]) -> None:
    [(_, job)] = await found.get([number], archived=True)
    if job is None:
        raise Broken(f"job {number} went away")
    every = set(range(len(job.job.ops)))
    if state == "success" and done != every:
        raise Broken(f"job {number} succeeded, and of {every} only {done} was done")
    if state == "canceled" and done:
        raise Broken(f"job {number} was canceled, and {done} was done")
    if state == "error":
        failed = [op.result for op in job.job.ops if op.status.value == "error"]
        if not re.search("Interrupted.*TEST_DELAY|Dependency", str(failed[0])):
            raise Broken(f"job {number} failed without saying what was interrupted: {failed[0]}")


if __name__ == "__main__":
    main()
