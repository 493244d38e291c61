"""The watcher's jobs: submitted with a reason that says why, and followed to their end.

Failure: a master daemon that goes away while a job is waited for is waited for, too, a while: the
job goes on without it, or ends in an error when it comes back.
"""

import asyncio
import time
from typing import Any, Final

import msgspec

from pyganeti.base import errors, log
from pyganeti.clients import luxichannel, luxitasks
from pyganeti.model import cause as causes
from pyganeti.model.opcodes import base, table
from pyganeti.model.opcodes import instance as instances
from pyganeti.model.opcodes import tags as tagging
from pyganeti.model.recovery import settings
from pyganeti.wire import luxierrors, reasontrail

_LOG = log.get(__name__)

_AGAIN: Final = 0.5
_PATIENCE: Final = 120.0
"""Seconds for which the master daemon may be away while a job is waited for."""

_OURS: Final = "only_if_down"


class Jobs:
    """Submits jobs about instances and waits for them."""

    def __init__(self, master: luxitasks.Client) -> None:
        self._master = master
        self._knows_ours = True

    async def start(self, name: str, cause: causes.Cause, attempt: int, key: str) -> int:
        """Have an instance started, if it is down still; return the job's number."""
        trail = _trail(cause, attempt, key)
        return await self._submit(
            instances.InstanceStartup(instance_name=name, only_if_down=True, reason=trail)
        )

    async def record(self, name: str, cause: causes.Cause, source: str, key: str) -> int:
        """Have an instance recorded as wanted down by user or admin; return the job's number."""
        return await self._submit(
            instances.InstanceShutdown(
                instance_name=name,
                only_if_down=True,
                admin_state_source="user" if source == "user" else "admin",
                reason=_trail(cause, 0, key),
            )
        )

    async def give_up(
        self, name: str, cause: causes.Cause, attempt: int, key: str, at: float
    ) -> int:
        """Have an instance marked as one that is started no more; return the job's number."""
        return await self._submit(
            tagging.TagsSet(
                kind="instance",
                name=name,
                tags=[settings.gave_up_tag(at)],
                reason=_trail(cause, attempt, key),
            )
        )

    async def forgive(self, name: str, at: int) -> int:
        """Have that mark taken away; return the job's number."""
        return await self._submit(
            tagging.TagsDel(
                kind="instance",
                name=name,
                tags=[settings.gave_up_tag(at)],
                reason=[(reasontrail.WATCHER, "a day of health", time.time_ns())],
            )
        )

    async def end(self, job: int) -> Any:  # noqa: ANN401 - JSON
        """Wait until a job has ended; return its result. Raises what it has failed with."""
        loop = asyncio.get_running_loop()
        away_since: float | None = None
        while True:
            try:
                await self._master.wait(job)
                [result, *_] = await self._master.results(job)
                return result
            except (luxichannel.NotRunning, luxichannel.Silent):
                away_since = away_since or loop.time()
                if loop.time() - away_since > _PATIENCE:
                    raise
                await asyncio.sleep(_AGAIN)

    async def _submit(self, opcode: base.Opcode) -> int:
        if isinstance(opcode, instances.InstanceStartup | instances.InstanceShutdown) and (
            not self._knows_ours
        ):
            opcode = msgspec.structs.replace(opcode, only_if_down=msgspec.UNSET)
        try:
            return await self._master.submit([table.to_wire(opcode)])
        except (errors.BadInput, luxierrors.WrongParameter, luxierrors.Answered) as failure:
            if not self._knows_ours or _OURS not in str(failure):
                raise
        _LOG.warning("the master daemon is not ours: jobs cannot look again under the lock")
        self._knows_ours = False
        return await self._submit(opcode)


def _trail(cause: causes.Cause, attempt: int, key: str) -> base.Trail:
    words = reasontrail.recovery_text(reasontrail.Recovery(cause, attempt, key))
    return [(reasontrail.WATCHER, words, time.time_ns())]
