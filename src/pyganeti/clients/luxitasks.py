"""Asking the master daemon from a daemon's loop: any number of questions at once, nobody blocked.

Commands have `luxi`, which stays clear of asyncio. Each question has a connection of its own while
it is under way; some are kept for the next ones. A question is sent once: when its answer does not
come only the caller knows whether it may be asked again.

Failure: as in `luxichannel`, whose errors these are: NotCluster, NotMaster, NotRunning, Denied if
there is nobody to ask, at once and without waiting for a restart; Silent if no answer comes;
Protocol for an answer that is none; and what the master daemon itself says.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyganeti.base import errors, paths
from pyganeti.clients import luxichannel
from pyganeti.wire import luxi, luxierrors

_PIECE: Final = 256 * 1024
_KEPT: Final = 8
_CONNECTING: Final = 10.0

PATIENCE: Final = 60.0
"""Seconds in which the master daemon has to answer what it need not wait for."""

ENDED: Final = frozenset({"success", "error", "canceled"})
"""The states in which a job stays."""

Opcode = Mapping[str, Any]


class Client:
    """Asks the master daemon of this node, for any number of tasks of one loop."""

    def __init__(self, layout: paths.Paths) -> None:
        self._layout = layout
        self._idle: list[_Connection] = []

    def close(self) -> None:
        """Let go of the connections that wait for a question."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def call(self, method: str, *args: object, patience: float = PATIENCE) -> Any:  # noqa: ANN401 - JSON
        """Ask, and return the answer, which has to come within ``patience`` seconds."""
        request = luxi.encode_request(method, args)
        connection = await self._connection()
        try:
            async with asyncio.timeout(patience):
                answer = await connection.ask(request)
        except TimeoutError as error:
            connection.close()
            raise luxichannel.Silent(
                f"the master daemon has not answered {method} for {patience:g} s"
            ) from error
        except OSError as error:
            connection.close()
            raise luxichannel.Silent(
                f"the master daemon went away before it answered {method}"
            ) from error
        except BaseException:
            connection.close()
            raise
        try:
            result = luxi.decode_answer(answer)
        except errors.Failure:  # Ganeti's master daemon hangs up on a request that it cannot read
            connection.close()
            raise
        self._keep(connection)
        return result

    async def submit(self, opcodes: Sequence[Opcode]) -> int:
        """Have opcodes carried out, one after the other; return the job's number."""
        return int(await self.call("SubmitJob", list(opcodes)))

    async def query(
        self,
        what: str,
        fields: Sequence[str],
        condition: object = None,
        *,
        patience: float = PATIENCE,
    ) -> list[list[Any]]:
        """Return rows of a resource, a value for each field, None where there is none."""
        answer = await self.call("Query", what, list(fields), condition, patience=patience)
        return [[value for _, value in row] for row in answer["data"]]

    async def wait(self, job: int) -> str:
        """Wait until a job has ended; return how: one of `ENDED`. Raises JobLost."""
        status: str | None = None
        last_log: int | None = None
        while True:
            news = await self.call(
                "WaitForJobChange",
                job,
                ["status"],
                None if status is None else [status],
                last_log,
                luxi.CHANGE_PATIENCE,
                patience=luxi.CHANGE_PATIENCE + PATIENCE,
            )
            if news == luxi.NOT_CHANGED:
                continue
            [values, messages] = news
            status = values[0]
            if status is None:
                raise luxierrors.JobLost(f"job {job} is not in the queue any more")
            last_log = max((message[0] for message in messages), default=last_log)
            if status in ENDED:
                return str(status)

    async def results(self, job: int) -> list[Any]:
        """Return what the opcodes of a job that has ended answered.

        Raises JobLost, JobCanceled, or what the first opcode that failed has failed with.
        """
        rows = await self.call("QueryJobs", [job], ["status", "opstatus", "opresult"])
        if not rows or rows[0] is None or rows[0][0] is None:
            raise luxierrors.JobLost(f"job {job} is not in the queue any more")
        status, states, results = rows[0]
        if status == "success":
            return list(results)
        for state, result in zip(states, results, strict=False):
            if state == "error":
                if luxierrors.looks_encoded(result):
                    raise luxierrors.decode(result)
                raise luxierrors.OperationFailed(str(result))
        raise luxierrors.JobCanceled(f"job {job} was cancelled")

    def _keep(self, connection: "_Connection") -> None:
        if len(self._idle) < _KEPT and connection.is_usable:
            self._idle.append(connection)
        else:
            connection.close()

    async def _connection(self) -> "_Connection":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.close()
        absent: OSError | None = None
        for path in (self._layout.query_socket, self._layout.master_socket):
            try:
                async with asyncio.timeout(_CONNECTING):
                    return _Connection(*await asyncio.open_unix_connection(path))
            except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
                absent = absent or error
            except PermissionError as error:
                raise errors.Denied(f"the master daemon may not be asked ({path})") from error
            except (TimeoutError, BlockingIOError) as error:
                raise luxichannel.NotRunning(
                    f"the master daemon takes no connections: it is overloaded or stuck ({path})"
                ) from error
            except OSError as error:
                raise errors.Unavailable(
                    f"the master daemon cannot be reached ({path}): {error.strerror or error}"
                ) from error
        await asyncio.to_thread(luxichannel.check_place, self._layout, absent)
        raise luxichannel.NotRunning("the master daemon is not running") from absent


class _Connection:
    """One connection, for one question at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def is_usable(self) -> bool:
        """Whether the other end is there still, as far as is known."""
        return not (self._reader.at_eof() or self._writer.is_closing())

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._writer.close()

    async def ask(self, request: bytes) -> bytes | bytearray:
        """Send a request; return its answer. Raises OSError if the connection ends."""
        self._writer.write(request)
        await self._writer.drain()
        splitter = luxi.Splitter(luxi.ANSWER_LIMIT)
        while piece := await self._reader.read(_PIECE):
            for answer in splitter.feed(piece):
                if answer is None:
                    raise luxierrors.Protocol("the master daemon's answer does not end")
                return answer
        raise ConnectionResetError("the connection was closed")
