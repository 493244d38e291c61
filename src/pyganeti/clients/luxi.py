"""Asking the master daemon, from a command: LUXI's methods, and waiting for a job.

A command has to start fast, so this stays clear of asyncio. Answers come as the JSON they are,
failures as the classes that say what a caller can do.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from pyganeti.base import errors, paths
from pyganeti.clients import luxichannel
from pyganeti.wire import luxi, luxierrors

_ARCHIVING: Final = int(luxichannel.PATIENCE.answer - 1) // 2
"""Seconds that archiving may take, well within those for which the answer is waited for."""

_CHANGE_OF_MASTERS: Final = 30.0
"""Seconds in which a job that is waited for has to be heard of again."""

_PAUSE: Final = 0.2

_NO_LOCKING: Final = False
"""The last argument of the old questions: they never had a use for another value."""

Json = Any
Opcode = Mapping[str, Any]


def exit_code(failure: errors.Failure) -> int:
    """Return what a command ends with that could do nothing about a failure."""
    if isinstance(failure, luxichannel.NotCluster):
        return luxierrors.ExitCode.NOT_CLUSTER
    if isinstance(failure, luxichannel.NotMaster):
        return luxierrors.ExitCode.NOT_MASTER
    return luxierrors.exit_code(failure)


class Message:
    """News of a job: its status, and unless only that changed, what was said.

    ``moment`` is [seconds, microseconds] since 1970.
    """

    __slots__ = ("kind", "moment", "number", "status", "text")

    def __init__(
        self,
        status: str,
        number: int | None = None,
        moment: Sequence[int] | None = None,
        kind: str | None = None,
        text: Json = None,
    ) -> None:
        self.status = status
        self.number = number
        self.moment = moment
        self.kind = kind
        self.text = text


OnNews = Callable[[Message], None]

_ENDED: Final = frozenset({"success", "error", "canceled", "canceling"})


class Client:
    """Asks the master daemon of this node; to be used as ``with``, by one thread.

    Every question raises luxichannel's NotCluster, NotMaster or NotRunning if there is nobody to
    ask, Denied if this user may not, Silent if no answer comes, Protocol if what comes is none; and
    else what the master daemon says: BadInput for a question that makes no sense, and so on.
    """

    def __init__(
        self, layout: paths.Paths, patience: luxichannel.Patience = luxichannel.PATIENCE
    ) -> None:
        self._channel = luxichannel.Channel(layout, patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection; the next question makes a new one."""
        self._channel.close()

    def call(self, method: str, *args: object) -> Json:
        """Ask, and return the answer."""
        return luxi.decode_answer(self._channel.ask(luxi.encode_request(method, args)))

    # Jobs

    def submit(self, opcodes: Sequence[Opcode], *, even_drained: bool = False) -> int:
        """Have opcodes carried out, one after the other; return the job's number."""
        method = "SubmitJobToDrainedQueue" if even_drained else "SubmitJob"
        return int(self.call(method, list(opcodes)))

    def submit_many(self, jobs: Sequence[Sequence[Opcode]]) -> list[tuple[bool, int | str]]:
        """Submit several jobs; return for each True and its number, or False and why not."""
        answer = self.call("SubmitManyJobs", [list(opcodes) for opcodes in jobs])
        return [(bool(is_taken), number) for is_taken, number in answer]

    def wait_for_change(
        self,
        job: int,
        fields: Sequence[str],
        previous: Sequence[Json] | None,
        last_log: int | None,
        timeout: float = luxi.CHANGE_PATIENCE,
    ) -> tuple[list[Json], list[list[Json]]] | None:
        """Return a job's fields and new messages when there is news, None if there was none.

        ``previous`` are the fields' last known values, ``last_log`` is the last known message's
        number. Raises JobLost if there is no such job.
        """
        answer = self.call(
            "WaitForJobChange",
            job,
            list(fields),
            None if previous is None else list(previous),
            last_log,
            int(min(timeout, luxi.CHANGE_PATIENCE)),
        )
        if answer == luxi.NOT_CHANGED:
            return None
        match answer:
            case [list(values), list(messages)]:
                return values, messages
        raise luxierrors.Protocol("the master daemon's news of a job are none")

    def wait(self, job: int, on_news: OnNews | None = None) -> list[Json]:
        """Wait until a job has ended; return what its opcodes answered, one each.

        ``on_news`` gets the status and each message as they come. A master daemon that goes away
        meanwhile is waited for, for a while. Raises JobCanceled, or what the first opcode that
        failed has failed with.
        """
        status: str | None = None
        last_log: int | None = None
        silent_since: float | None = None
        while True:
            try:
                news = self.wait_for_change(
                    job, ["status"], None if status is None else [status], last_log
                )
            except (luxichannel.NotRunning, luxichannel.Silent):
                # Asking is harmless, and the job goes on: under this daemon, started anew, or
                # under another one that takes over from it.
                now = time.monotonic()
                silent_since = silent_since or now
                if now - silent_since > _CHANGE_OF_MASTERS:
                    raise
                time.sleep(_PAUSE)
                continue
            silent_since = None
            if news is None:
                continue
            (status,), messages = news
            if status is None:
                raise luxierrors.JobLost(f"job {job} is not in the queue any more")
            for number, moment, kind, text in messages:
                last_log = number if last_log is None else max(last_log, number)
                if on_news is not None:
                    on_news(Message(status, number, moment, kind, text))
            if not messages:
                if on_news is not None:
                    on_news(Message(status))
                if status in _ENDED:
                    return self.results(job)

    def results(self, job: int) -> list[Json]:
        """Return what the opcodes of a job that has ended answered; raises as `wait` does."""
        rows = self.query_jobs([job], ["status", "opstatus", "opresult"])
        if not rows or rows[0][0] is None:
            raise luxierrors.JobLost(f"job {job} is not in the queue any more")
        status, opstatus, results = rows[0]
        if status == "success":
            return list(results)
        for state, result in zip(opstatus, results, strict=False):
            if state == "error":
                if luxierrors.looks_encoded(result):
                    raise luxierrors.decode(result)
                raise luxierrors.OperationFailed(str(result))
        raise luxierrors.JobCanceled(f"job {job} was cancelled")

    def submit_and_wait(
        self,
        opcodes: Sequence[Opcode],
        on_news: OnNews | None = None,
        *,
        on_number: Callable[[int], None] | None = None,
    ) -> list[Json]:
        """Have opcodes carried out, and wait for the end; return and raise as `wait` does.

        ``on_number`` gets the job's number as soon as the job is in the queue.
        """
        job = self.submit(opcodes)
        if on_number is not None:
            on_number(job)
        return self.wait(job, on_news)

    def query_jobs(self, jobs: Sequence[int] | None, fields: Sequence[str]) -> list[list[Json]]:
        """Return rows of fields, of all jobs or some; all None for a job that is not there."""
        return list(self.call("QueryJobs", jobs, list(fields)))

    def cancel(self, job: int, *, kill: bool = False) -> tuple[bool, str]:
        """Cancel a job; return whether that worked, and what to tell."""
        done, text = self.call("CancelJob", job, kill)
        return bool(done), str(text)

    def change_priority(self, job: int, priority: int) -> tuple[bool, str]:
        """Change the priority of what a job has not begun; return as `cancel` does."""
        done, text = self.call("ChangeJobPriority", job, priority)
        return bool(done), str(text)

    def archive(self, job: int) -> bool:
        """Archive a job; return whether there was one that had ended."""
        return bool(self.call("ArchiveJob", job))

    def auto_archive(self, age: int, timeout: int = _ARCHIVING) -> tuple[int, int]:
        """Archive jobs that ended ``age`` seconds ago; return how many, and how many are left."""
        archived, left = self.call("AutoArchiveJobs", age, timeout)
        return int(archived), int(left)

    def pick_up(self, job: int) -> None:
        """Have a job taken from the queue's directory; refused as internal, as Ganeti does."""
        self.call("PickupJob", job)

    def set_drain(self, *, is_drained: bool) -> bool:
        """Let the queue take no more jobs, or take them again."""
        return bool(self.call("SetDrainFlag", is_drained))

    # Questions

    def query(self, what: str, fields: Sequence[str], condition: Json = None) -> Json:
        """Return ``{"fields": definitions, "data": rows of [status, value]}`` of a resource."""
        return self.call("Query", what, list(fields), condition)

    def query_fields(self, what: str, fields: Sequence[str] | None = None) -> Json:
        """Return ``{"fields": definitions}``: of all there are, or of some."""
        return self.call("QueryFields", what, fields)

    def query_instances(self, names: Sequence[str], fields: Sequence[str]) -> list[list[Json]]:
        """Return rows of values; names that there are not give none."""
        return list(self.call("QueryInstances", list(names), list(fields), _NO_LOCKING))

    def query_nodes(self, names: Sequence[str], fields: Sequence[str]) -> list[list[Json]]:
        """Return rows of values."""
        return list(self.call("QueryNodes", list(names), list(fields), _NO_LOCKING))

    def query_groups(self, names: Sequence[str], fields: Sequence[str]) -> list[list[Json]]:
        """Return rows of values."""
        return list(self.call("QueryGroups", list(names), list(fields), _NO_LOCKING))

    def query_networks(self, names: Sequence[str], fields: Sequence[str]) -> list[list[Json]]:
        """Return rows of values."""
        return list(self.call("QueryNetworks", list(names), list(fields), _NO_LOCKING))

    def query_exports(self, nodes: Sequence[str]) -> list[list[Json]]:
        """Return rows of a node and an export that lies there."""
        return list(self.call("QueryExports", list(nodes), _NO_LOCKING))

    def query_filters(self, uuids: Sequence[str] | None, fields: Sequence[str]) -> list[list[Json]]:
        """Return rows of values of the job filters."""
        return list(self.call("QueryFilters", uuids, list(fields)))

    def query_tags(self, kind: str, name: str = "") -> list[str]:
        """Return the tags of the cluster, or of a node, group, instance or network."""
        return list(self.call("QueryTags", kind, name))

    def query_config_values(self, names: Sequence[str]) -> list[Json]:
        """Return simple settings; None for one that there is not."""
        return list(self.call("QueryConfigValues", list(names)))

    def query_cluster_info(self) -> dict[str, Json]:
        """Return what there is to say about the cluster as a whole."""
        return dict(self.call("QueryClusterInfo"))

    # Changes that are no jobs

    def replace_filter(
        self,
        uuid: str | None,
        priority: int,
        predicates: Sequence[Json],
        action: Json,
        reason: Sequence[Json],
    ) -> str:
        """Add a job filter, or put another in the place of one; return its uuid."""
        return str(
            self.call("ReplaceFilter", uuid, priority, list(predicates), action, list(reason))
        )

    def delete_filter(self, uuid: str) -> None:
        """Remove a job filter."""
        self.call("DeleteFilter", uuid)

    def set_watcher_pause(self, until: float | None) -> float | None:
        """Have the watcher rest until a moment, in seconds since 1970; None ends that."""
        answer = self.call("SetWatcherPause", until)
        return None if answer is None else float(answer)
