"""Carriers of opcodes for the job queue, which do what the opcode says and keep a record of it.

An opcode is OP_TEST_DELAY as Ganeti has it; what else it is to do stands in its comment, as words:
``fail``, ``crash``, ``log=TEXT``, ``hold`` (until `Carrier.let_go`), ``wait`` (the same, before it
begins), ``lock=NAME``, ``submit``, ``deaf`` (it does not listen when it is to be stopped), ``talk``
(it says all of `Carrier.talk`).
"""

import asyncio
import collections
from collections.abc import Iterator
from typing import Any

from pyganeti.base import errors
from pyganeti.masterd.jobs import work
from pyganeti.masterd.locks import levels, manager


def opcode(words: str = "", **others: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return an opcode that does what the words say."""
    return {
        "OP_ID": "OP_TEST_DELAY",
        "dry_run": False,
        "debug_level": 0,
        "priority": 0,
        "depends": None,
        "comment": words or None,
        "reason": [["gnt:client:gnt-debug", "delay", 1795241559253069568]],
        "duration": 0.0,
        "on_master": True,
        "on_nodes": [],
        "on_node_uuids": None,
        "repeat": 0,
        "interruptible": False,
        "no_locks": False,
        **others,
    }


class Carrier:
    """Carries such opcodes out; ``record`` has what happened, in order."""

    def __init__(self) -> None:
        self.record: list[tuple[str, int, int]] = []
        self.locks = manager.Manager()
        self.talk: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self._gates: collections.defaultdict[int, asyncio.Event] = collections.defaultdict(
            asyncio.Event
        )
        self._arrived: collections.defaultdict[tuple[str, int], asyncio.Event] = (
            collections.defaultdict(asyncio.Event)
        )

    def let_go(self, job_id: int) -> None:
        """Let a job that holds, or waits, go on."""
        self._gates[job_id].set()

    async def arrived(self, what: str, job_id: int) -> None:
        """Wait until a job has come to something that is recorded."""
        async with asyncio.timeout(10):
            await self._arrived[what, job_id].wait()

    def done(self, what: str) -> list[int]:
        """Return the numbers of the jobs with which something happened, in order."""
        return [job_id for happened, job_id, _ in self.record if happened == what]

    async def perform(self, opcode: dict[str, Any], run: work.Run) -> Any:  # noqa: ANN401 - JSON
        """Carry one out."""
        words = dict(_parsed(opcode.get("comment") or ""))
        self._note("wait", run)
        try:
            if "wait" in words:
                await self._gates[run.job_id].wait()
            wanted = (
                {levels.Level.INSTANCE: levels.exclusive({words["lock"]})}
                if "lock" in words
                else {}
            )
            async with await self.locks.acquire(f"{run.job_id}", wanted, lambda: run.priority):
                return await self._act(words, run)
        except asyncio.CancelledError:
            self._note("stopped", run)
            raise

    async def _act(self, words: dict[str, str], run: work.Run) -> Any:  # noqa: ANN401 - JSON
        await run.begin()
        self._note("begin", run)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if "log" in words:
                run.log(words["log"])
            for line in self.talk if "talk" in words else ():
                run.log(line)
            while "hold" in words and not self._gates[run.job_id].is_set():
                try:
                    await self._gates[run.job_id].wait()
                except asyncio.CancelledError:
                    if "deaf" not in words:
                        raise
            await asyncio.sleep(0)
            if "fail" in words:
                raise errors.BadInput("it was to fail", "wrong_state")
            if "crash" in words:
                raise ZeroDivisionError("it was to crash")
            if "submit" in words:
                return {"jobs": await run.submit([[{"OP_ID": "OP_TEST_DELAY", "duration": 0}]])}
        finally:
            self.at_once -= 1
        self._note("done", run)
        return [run.job_id, run.index]

    def _note(self, what: str, run: work.Run) -> None:
        self.record.append((what, run.job_id, run.index))
        self._arrived[what, run.job_id].set()


def _parsed(words: str) -> Iterator[tuple[str, str]]:
    for word in words.split():
        name, _, value = word.partition("=")
        yield name, value
