"""A job queue that kills itself with SIGKILL at one exact step towards the disk, and comes back.

    python -m lab.dyingqueue DIRECTORY PART OF      # every OF-th step of one day, from PART on
    python -m lab.dyingqueue DIRECTORY < LINES      # each line a JSON array: a step, and a day
    python -m lab.dyingqueue DIRECTORY ENDPOINT < LINES         # with a queue in that etcd

The product has no switches for that. A child of this process runs the queue under a profiler's hook
that sees every call of the kernel in the modules that write: at the STEP-th of these it dies,
before the call or after it, in whichever thread; with a queue in etcd also before a transaction is
sent, or after it was answered. Then another process takes up what lies there. What
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
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from lab import carriers, jobs
from lab.etcd import backings
from pyganeti.clients.etcd import access, client, messages
from pyganeti.masterd.backing.etcd import keys, shelf
from pyganeti.masterd.jobs import queue, refusals, work

_WATCHED: Final = frozenset({"pyganeti.masterd.jobs.files", "pyganeti.base.files"})
_ETCD: Final = "http"
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
        if getattr(arg, "__name__", "") in _CALLS:
            code = frame.f_code
            self.step(f"{event} {arg.__name__} in {code.co_name}:{frame.f_lineno}")

    def step(self, where: str) -> None:
        """Take a step, which may be the last one."""
        if next(self._steps) == self._step:
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


class Ground:
    """Where the queue of one day lies."""

    def __init__(self, directory: Path) -> None:
        self.place: Final = directory / "queue"

    @contextlib.asynccontextmanager
    async def opened(
        self,
        carrier: work.Work,
        death: Death | None = None,  # noqa: ARG002
        **settings: Any,  # noqa: ANN401
    ) -> AsyncIterator[queue.Queue]:
        """Open it; ``death`` is what watches."""
        async with queue.Queue(self.place, carrier, **settings) as found:
            yield found

    async def remove(self, number: int) -> bool:
        """Take a job out of it by hand; return whether it was there."""
        try:
            (self.place / f"job-{number}").unlink()
        except FileNotFoundError:
            return False
        return True


class EtcdGround(Ground):
    """A queue in etcd."""

    def __init__(self, directory: Path, endpoint: str) -> None:
        super().__init__(directory)
        self._access = access.Access(endpoints=access.parse([endpoint]))
        self._prefix = f"/ganeti/{secrets.token_hex(8)}/"

    @contextlib.asynccontextmanager
    async def opened(
        self,
        carrier: work.Work,
        death: Death | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> AsyncIterator[queue.Queue]:
        """Lead, instead of whoever did before, and open it."""
        async with _Dying(self._access, death) as speaking:
            where = keys.Keys(self._prefix)
            right = await backings.depose(speaking, where)
            lying = shelf.EtcdShelf(speaking, where, right, self.place)
            async with queue.Queue(lying, carrier, **settings) as found:
                yield found

    async def remove(self, number: int) -> bool:
        """Take a job out of etcd by hand."""
        async with client.Client(self._access) as speaking:
            key = keys.Keys(self._prefix).job(number)
            asked = messages.Transaction([messages.exists(key)], [messages.Delete(key)])
            return (await speaking.transact(asked)).held


class _Dying(client.Client):
    """A client whose process may die before a transaction, or after."""

    def __init__(self, chosen: access.Access, death: Death | None) -> None:
        super().__init__(chosen)
        self._death = death

    async def transact(
        self, asked: messages.Transaction, *, patience: float = client.PATIENCE
    ) -> messages.Outcome:
        """Take a step before, and one after."""
        if self._death is not None:
            self._death.step("a transaction that is sent")
        outcome = await super().transact(asked, patience=patience)
        if self._death is not None:
            self._death.step("a transaction that was answered")
        return outcome


def main() -> None:
    """Try steps."""
    directory = Path(sys.argv[1])
    words = sys.argv[2:]
    endpoint = words.pop() if words and words[-1].startswith(_ETCD) else ""

    def ground() -> Ground:
        return EtcdGround(directory, endpoint) if endpoint else Ground(directory)

    if words:
        part, of = (int(word) for word in words)
        for step in itertools.count(1 + part, of):
            said = _try(directory, ground(), step, DAY)
            print(said, flush=True)
            if said != "ok":
                break
    else:
        for line in sys.stdin:
            step, day = json.loads(line)
            print(_try(directory, ground(), step, day), flush=True)
    shutil.rmtree(directory, ignore_errors=True)


def _try(directory: Path, ground: Ground, step: int, day: Sequence[list[Any]]) -> str:
    """Have a child die at a step of a day, come back, and return what is to be said of it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    diary = Diary(directory / "diary")
    status = _in_a_child(lambda: _live(ground, diary, Death(step), day))
    has_died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not has_died and status != 0:
        return f"step {step}: the child failed"
    broken = directory / "broken"
    # In a process of its own too: this one never has threads, and can be forked any time.
    status = _in_a_child(lambda: _return(ground, diary, broken))
    diary.close()
    if broken.exists():
        return f"step {step}: {broken.read_text()}"
    if status != 0:
        return f"step {step}: the one who came back failed"
    return "ok" if has_died else "lived"


def _in_a_child(function: Callable[[], None]) -> int:
    """Have a process do something; return how it ended."""
    child = os.fork()
    if child == 0:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - the process's top frame
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _live(ground: Ground, diary: Diary, hook: Death, day: Sequence[list[Any]]) -> None:
    """Do everything that a day has, until death."""
    threading.setprofile(hook)
    sys.setprofile(hook)
    asyncio.run(_scenario(ground, diary, hook, day))


def _return(ground: Ground, diary: Diary, broken: Path) -> None:
    """Come back, and write down which promise was broken."""
    try:
        asyncio.run(_come_back(ground, diary))
    except Broken as error:
        broken.write_text(str(error))


async def _scenario(ground: Ground, diary: Diary, hook: Death, day: Sequence[list[Any]]) -> None:
    numbers: list[int] = []
    async with ground.opened(Doer(diary), hook, limit=lambda: 1) as found:
        for act in day:
            await _act(found, ground, diary, numbers, act)


async def _act(
    found: queue.Queue, ground: Ground, diary: Diary, numbers: list[int], act: list[Any]
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
        case ["remove", index] if await ground.remove(numbers[index]):
            diary.say("removed", numbers[index])


async def _come_back(ground: Ground, diary: Diary) -> None:
    """Take up what lies there, and compare it with what was done and told."""
    lines = diary.lines()
    accepted = [int(words[1]) for words in lines if words[0] == "accepted"]
    told = {int(words[1]): words[2] for words in lines if words[0] == "told"}
    archived = {int(words[1]) for words in lines if words[0] == "archived"}
    removed = {int(words[1]) for words in lines if words[0] == "removed"}
    did = [(int(words[1]), int(words[2])) for words in lines if words[0] == "did"]
    async with ground.opened(Doer(diary)) as found:
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
