"""Copies of archived jobs on the other master candidates, for the day this node is gone.

Jobs that are not archived are in etcd, where every candidate finds them. Those that are lie in
files of this node, and are sent to the others when they are archived. A candidate that is not there
then does not get them: it is said, and nobody waits for it again until some time has passed.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from pyganeti.base import errors, log
from pyganeti.masterd.backing.etcd import archive
from pyganeti.masterd.jobs import replication
from pyganeti.wire import noderpc

_LOG = log.get(__name__)

_PLACE: Final = "/var/lib/ganeti/queue"
_PATIENCE: Final = 8.0
_AWAY: Final = 60.0
"""Seconds for which one that did not answer is not asked again."""


class ArchiveCopies:
    """What the others have of the archive."""

    def __init__(
        self,
        archived: archive.Archive,
        candidates: replication.Candidates,
        *,
        patience: float = _PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it; nobody is waited for longer than ``patience`` for one job."""
        self._archive = archived
        self._candidates = candidates
        self._patience = patience
        self._clock = clock
        self._away: dict[str, float] = {}

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Do nothing: what is sent is sent by who asks for it."""

    def reconsider(self) -> None:
        """Do nothing: who they are is looked at every time."""

    def hurry(self) -> None:
        """Ask those again that did not answer."""
        self._away.clear()

    async def close(self) -> None:
        """Do nothing."""

    async def send(self, changes: Sequence[replication.Change]) -> bool:
        """Send the files of jobs that are archived; nothing else is anybody's but etcd's.

        Nobody leads by these copies, so it does not matter who has them.
        """
        pairs = [
            pair for change in changes if isinstance(change, replication.Rename)
            for pair in change.pairs
        ]  # fmt: skip
        now = self._clock()
        names = [name for name in self._candidates.names() if self._away.get(name, now) <= now]
        if pairs and names:
            files = await asyncio.to_thread(self._read, pairs)
            await asyncio.gather(*(self._send(name, files) for name in names))
        return True

    def _read(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str, bytes]]:
        found = []
        for name, archived in pairs:
            data = self._archive.content(int(name.rpartition("-")[2]))
            if data is not None:  # else somebody took it out of the queue by hand
                found.append((name, archived, data))
        return found

    async def _send(self, candidate: str, files: Sequence[tuple[str, str, bytes]]) -> None:
        try:
            for name, _, data in files:
                blob = noderpc.encode_blob(data)
                await self._call(candidate, "jobqueue_update", f"{_PLACE}/{name}", blob)
            renames = [[f"{_PLACE}/{name}", f"{_PLACE}/{archived}"] for name, archived, _ in files]
            await self._call(candidate, "jobqueue_rename", renames)
        except errors.Failure as error:
            self._away[candidate] = self._clock() + _AWAY
            _LOG.warning(
                "a candidate gets no copies of archived jobs for now",
                node=candidate,
                jobs=len(files),
                reason=str(error),
            )

    async def _call(self, candidate: str, name: str, *arguments: object) -> None:
        await self._candidates.call(candidate, name, *arguments, timeout=self._patience)
