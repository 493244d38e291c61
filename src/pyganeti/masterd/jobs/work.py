"""What the queue and the one who carries out opcodes see of each other."""

from typing import Any, Protocol


class Run(Protocol):
    """One opcode of one job, while it is being carried out.

    It begins as waiting. Until `begin` nothing in the cluster may be changed on its behalf: only
    then is it written down that it runs; a daemon that is killed before would have it run again.
    """

    @property
    def job_id(self) -> int:
        """The job's number."""
        ...

    @property
    def index(self) -> int:
        """Which of the job's opcodes it is, from 0."""
        ...

    @property
    def priority(self) -> int:
        """The current one, -20 (first) to 19; changes on request, and improves while it waits."""
        ...

    @property
    def reason(self) -> list[Any]:
        """The trail of who wanted it and why: ``[source, text, nanoseconds]``, oldest first."""
        ...

    async def begin(self) -> None:
        """Have it written down that the opcode runs; to be called with all locks held.

        Returns when that would survive a crash. Twice does no harm. While the disk is full it
        waits. Raises Interrupted if the job was cancelled, or removed, meanwhile.
        """
        ...

    def log(self, text: Any, kind: str = "message") -> None:  # noqa: ANN401 - JSON
        """Tell those who follow the job something; at once, and kept with the job."""
        ...

    async def submit(self, jobs: list[list[dict[str, Any]]]) -> list[list[Any]]:
        """Submit further jobs, as SubmitManyJobs does; also to a drained queue.

        What is missing in an opcode is taken from this one: priority, comment, and its reason trail
        comes first. Returns for each ``[True, number]``, or ``[False, why not]``.
        """
        ...


class Work(Protocol):
    """What carries out opcodes."""

    async def perform(self, opcode: dict[str, Any], run: Run) -> Any:  # noqa: ANN401 - JSON
        """Carry one out; return its result.

        Calls `Run.begin` when it has its locks. A Failure that it raises becomes the opcode's
        error, under its name on the wire; anything else becomes an OpExecError. It is cancelled
        when the job is, while it waits; after `Run.begin` only when somebody insists, or the daemon
        ends.
        """
        ...
