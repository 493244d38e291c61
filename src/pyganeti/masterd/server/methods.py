"""The methods of LUXI: what each takes, and who does it.

A method is a question or a deed. A question may be broken off when who asked has gone; a deed is
done to its end, once it was begun.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import msgspec

from pyganeti.base import errors, watcherpause
from pyganeti.masterd import nodes as nodes_
from pyganeti.masterd.queries import engine as engines
from pyganeti.masterd.server import arguments
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import luxi

T = TypeVar("T")

_TURN: Final = 100
"""Opcodes that are checked before others have their turn."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Queue(Protocol):
    """The job queue; `masterd.jobs.queue.Queue` is it."""

    @property
    def last_number(self) -> int:
        """The last job's number, 0 if there never was one."""

    async def submit(
        self, opcodes: Sequence[Mapping[str, Any]], *, even_drained: bool = False
    ) -> int:
        """Accept a job, and return its number."""

    async def submit_many(self, jobs: Sequence[Sequence[Mapping[str, Any]]]) -> list[list[Any]]:
        """Accept jobs; return for each True and its number, or False and why not."""

    async def cancel(self, job_id: int, *, kill: bool = False) -> tuple[bool, str]:
        """Cancel a job; return whether that was done, and what was, in words."""

    async def change_priority(self, job_id: int, priority: int) -> tuple[bool, str]:
        """Change the priority of what a job has not begun."""

    async def wait_for_change(
        self,
        job_id: int,
        names: Sequence[str],
        previous: Any,  # noqa: ANN401 - JSON
        last_log: int | None,
        timeout: float,
    ) -> Any:  # noqa: ANN401 - JSON
        """Return the values of fields, and log entries after ``last_log``, when either is news."""

    async def archive(self, job_id: int) -> bool:
        """Archive a job that has ended; return whether there was one."""

    async def auto_archive(self, age: float, timeout: float) -> tuple[int, int]:
        """Archive jobs that ended more than ``age`` seconds ago."""

    async def set_drain(self, *, drained: bool) -> None:
        """Take no more jobs, or take them again."""

    def reconsider(self) -> None:
        """Go by the configuration as it is now."""


class Draft(Protocol):
    """A change of the configuration in the making."""

    @property
    def snapshot(self) -> Snapshot:
        """The configuration with what was changed so far."""

    def put(self, record: Any) -> Any:  # noqa: ANN401 - the same kind
        """Put an object in."""

    def remove(self, record: Any) -> None:  # noqa: ANN401 - of several kinds
        """Take an object out."""


class Config(Protocol):
    """The configuration; `masterd.config.state.Config` is it."""

    @property
    def current(self) -> Snapshot:
        """The configuration that is durable."""

    async def change(self, edit: Callable[[Any], T]) -> T:
        """Have an edit change the configuration; return what it returns, once all is durable."""


class Nodes(Protocol):
    """Who calls nodes; `masterd.nodes.Nodes` is it."""

    async def each(
        self, nodes: Sequence[Node], name: str, arguments: Sequence[object]
    ) -> dict[str, nodes_.Answer]:
        """Ask nodes at once; return each one's answer by its uuid. Never raises for a node."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method: what it takes, in one way or another, and what does it."""

    do: Callable[..., Awaitable[Any]]
    signatures: tuple[Sequence[arguments.Reader], ...]
    is_question: bool = False


class Methods:
    """All methods, over the parts that do the work."""

    def __init__(
        self,
        *,
        queue: Queue,
        engine: engines.Engine,
        config: Config,
        nodes: Nodes,
        pause_file: Path | None = None,
    ) -> None:
        """``pause_file`` says, on this machine, until when the watcher rests."""
        self._pause_file = pause_file
        self._queue = queue
        self._engine = engine
        self._config = config
        self._nodes = nodes
        self.table: Final = self._made()

    async def perform(self, request: luxi.Request) -> Any:  # noqa: ANN401 - JSON
        """Do what is asked; raises Unreadable for wrong arguments, or what it fails with."""
        method = self.table[request.method]
        if not method.signatures:
            return await method.do()
        return await method.do(*arguments.read(request.args, *method.signatures))

    def is_question(self, request: luxi.Request) -> bool:
        """Say whether it may be broken off."""
        return self.table[request.method].is_question

    def _made(self) -> Mapping[str, Method]:
        a = arguments
        old = [a.texts, a.texts, a.flag]
        queue, engine = self._queue, self._engine
        return {
            "SubmitJob": Method(self._submit, ([a.opcodes],)),
            "SubmitJobToDrainedQueue": Method(self._submit_to_drained, ([a.opcodes],)),
            "SubmitManyJobs": Method(self._submit_many, ([a.jobs],)),
            "CancelJob": Method(self._cancel, ([a.job_id, a.flag], [a.job_id])),
            "ChangeJobPriority": Method(queue.change_priority, ([a.job_id, a.whole],)),
            "ArchiveJob": Method(queue.archive, ([a.job_id],)),
            "AutoArchiveJobs": Method(queue.auto_archive, ([a.whole, a.seconds],)),
            "PickupJob": Method(self._pick_up, ([a.job_id],)),
            "SetDrainFlag": Method(self._set_drain, ([a.flag],)),
            "SetWatcherPause": Method(self._set_watcher_pause, ([a.seconds_or_none], [])),
            "ReplaceFilter": Method(
                self._replace_filter,
                ([a.text_or_none, a.priority, a.predicates, a.action, a.trail],),
            ),
            "DeleteFilter": Method(self._delete_filter, ([a.text],)),
            "WaitForJobChange": Method(
                queue.wait_for_change,
                ([a.job_id, a.texts, a.anything, a.serial, a.seconds],),
                is_question=True,
            ),
            "Query": Method(
                engine.query_encoded, ([self._what, a.texts, a.condition],), is_question=True
            ),
            "QueryFields": Method(
                self._query_fields, ([self._what, a.texts_or_none],), is_question=True
            ),
            "QueryJobs": Method(self._query_jobs, ([a.job_ids, a.texts],), is_question=True),
            "QueryFilters": Method(
                self._query_filters, ([a.texts_or_none, a.texts],), is_question=True
            ),
            "QueryInstances": Method(self._old("instance"), (old,), is_question=True),
            "QueryNodes": Method(self._old("node"), (old,), is_question=True),
            "QueryGroups": Method(self._old("group"), (old,), is_question=True),
            "QueryNetworks": Method(self._old("network"), (old,), is_question=True),
            "QueryExports": Method(self._query_exports, ([a.texts, a.flag],), is_question=True),
            "QueryTags": Method(self._query_tags, ([a.text, a.text],), is_question=True),
            "QueryConfigValues": Method(self._config_values, ([a.texts],), is_question=True),
            "QueryClusterInfo": Method(self._cluster_info, (), is_question=True),
        }

    # Jobs

    async def _submit(self, opcodes: Sequence[Mapping[str, Any]]) -> int:
        [job] = await _checked("SubmitJob", [opcodes])
        return await self._queue.submit(job)

    async def _submit_to_drained(self, opcodes: Sequence[Mapping[str, Any]]) -> int:
        [job] = await _checked("SubmitJobToDrainedQueue", [opcodes])
        return await self._queue.submit(job, even_drained=True)

    async def _submit_many(self, jobs: Sequence[Sequence[Mapping[str, Any]]]) -> list[list[Any]]:
        return await self._queue.submit_many(await _checked("SubmitManyJobs", jobs))

    async def _cancel(self, job_id: int, kill: bool = False) -> tuple[bool, str]:  # noqa: FBT001, FBT002 - the wire's order
        return await self._queue.cancel(job_id, kill=kill)

    async def _set_drain(self, flag: bool) -> bool:  # noqa: FBT001 - the wire's order
        await self._queue.set_drain(drained=flag)
        return True

    async def _pick_up(self, job_id: int) -> None:
        del job_id
        raise errors.Failure("Luxi call 'PickupJob' is for internal use only")

    # Questions

    def _what(self, value: object) -> str:
        what = arguments.text(value)
        if what not in self._engine.resources:
            raise arguments.Wrong(
                f"Can't parse value '{what[:100]}' as neither QueryTypeLuxi nor QueryTypeOp"
            )
        return what

    async def _query_fields(self, what: str, fields: Sequence[str]) -> dict[str, Any]:
        return self._engine.query_fields(what, fields)

    def _old(self, what: str) -> Callable[..., Awaitable[msgspec.Raw]]:
        async def query(names: list[str], fields: list[str], lock: bool) -> msgspec.Raw:  # noqa: FBT001 - the wire's order
            _refuse_lock(lock=lock)
            return await self._engine.query_old_encoded(what, names, fields)

        return query

    async def _query_jobs(self, ids: list[int] | None, fields: list[str]) -> msgspec.Raw:
        return await self._engine.query_old_encoded("job", ids or [], fields)

    async def _query_filters(self, uuids: list[str], fields: list[str]) -> msgspec.Raw:
        return await self._engine.query_old_encoded("filter", uuids, fields)

    async def _query_exports(self, nodes: list[str], lock: bool) -> msgspec.Raw:  # noqa: FBT001 - the wire's order
        _refuse_lock(lock=lock)
        return await self._engine.query_old_encoded("export", nodes, ("node", "export"))

    async def _query_tags(self, kind: str, name: str) -> list[str]:
        return self._engine.tags(kind, name)

    async def _config_values(self, names: list[str]) -> list[Any]:
        return self._engine.config_values(names)

    async def _cluster_info(self) -> dict[str, Any]:
        return self._engine.cluster_info()

    # Changes that are no jobs

    async def _replace_filter(
        self,
        given: str | None,
        priority: int,
        predicates: list[tuple[str, Any]],
        action: str | tuple[str, int],
        reason: list[tuple[str, str, int]],
    ) -> str:
        if given is not None and not _UUID.fullmatch(given):
            raise errors.Failure("Unable to parse UUID")
        rule = FilterRule(
            uuid=given or str(uuid.uuid4()),
            watermark=self._queue.last_number,
            priority=priority,
            predicates=tuple(predicates),
            action=action,
            reason_trail=(*reason, ("luxid", "", time.time_ns())),
        )

        def edit(draft: Draft) -> None:
            draft.put(rule)

        await self._config.change(edit)
        self._queue.reconsider()
        return rule.uuid

    async def _delete_filter(self, given: str) -> None:
        def edit(draft: Draft) -> None:
            rule = draft.snapshot.filters.get(given)
            if rule is None:
                raise errors.Failure(f"Filter rule with UUID {given} does not exist")
            draft.remove(rule)

        await self._config.change(edit)
        self._queue.reconsider()

    async def _set_watcher_pause(self, until: float | None = None) -> float | None:
        """Have the watchers of all nodes rest or go on; raises if the master's cannot be told.

        That one is told without its node daemon, which may be what the watcher is to start.
        """
        snapshot = self._config.current
        told = [node for node in snapshot.nodes.values() if not node.offline]
        if self._pause_file is not None:
            await asyncio.to_thread(watcherpause.write, self._pause_file, until)
            told = [node for node in told if node.uuid != snapshot.master.uuid]
        answers = await self._nodes.each(told, "set_watcher_pause", [until])
        if self._pause_file is None:
            answers[snapshot.master.uuid].unwrap()
        return until


async def _checked(
    method: str, jobs: Sequence[Sequence[Mapping[str, Any]]]
) -> list[list[dict[str, Any]]]:
    """Return jobs whose opcodes are checked, with all parameters; raises Unreadable."""
    checked: list[list[dict[str, Any]]] = []
    count = 0
    for job in jobs:
        opcodes = []
        for opcode in job:
            opcodes.append(arguments.opcode(method, opcode))
            count += 1
            if not count % _TURN:
                await asyncio.sleep(0)
        checked.append(opcodes)
    return checked


def _refuse_lock(*, lock: bool) -> None:
    if lock:
        raise errors.BadInput("Sync queries are not allowed")
