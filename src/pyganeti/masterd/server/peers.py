"""Who is at the other end of a connection: the kernel's word for the numbers, and names for them.

It goes into the reason trail of the jobs that somebody submits, so that one can ask later who it
was. Where somebody had logged in as another user, the kernel's login number of the process says so
(it outlasts sudo and su).

Failure: what cannot be found out is left out. Names may come from a directory service that hangs;
it is waited for `_PATIENCE` at most, and then left alone for a while.
"""

import asyncio
import dataclasses
import pwd
import time
from pathlib import Path
from typing import Any, Final

from pyganeti.base import log
from pyganeti.wire import luxi, reasontrail

_LOG = log.get(__name__)

_PATIENCE: Final = 0.5
_REMEMBERED: Final = 60.0
"""Seconds for which a number's name is not looked up again."""

_MOST: Final = 1000
_NOBODY: Final = 0xFFFF_FFFF
"""The login number of a process that no login led to."""


_SIGNED: Final = frozenset({"SubmitJob", "SubmitJobToDrainedQueue", "SubmitManyJobs"})


def is_signed(request: luxi.Request) -> bool:
    """Tell whether a request is one whose author counts."""
    return request.method in _SIGNED


class Signatures:
    """Puts into the opcodes of a node's clients who they are."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._users = Users()

    async def signed(self, request: luxi.Request, peer: reasontrail.Peer) -> luxi.Request:
        """Return a request with an entry more in the reason trail of each opcode in it.

        What is no opcode, or has no trail, stays as it is: it will be refused as what it is.
        """
        named = await self._users.named(peer)
        named = dataclasses.replace(named, node=self._node)
        entry = (reasontrail.PEER, reasontrail.peer_text(named), time.time_ns())
        match request.args:
            case [[*jobs]] if request.method == "SubmitManyJobs":
                args: list[Any] = [[_job(job, entry) for job in jobs]]
            case [job]:
                args = [_job(job, entry)]
            case _:
                return request
        return luxi.Request(request.method, args)


def _job(opcodes: Any, entry: reasontrail.Entry) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(opcodes, list):
        return opcodes
    return [
        opcode | {"reason": [*opcode["reason"], entry]}
        if isinstance(opcode, dict) and isinstance(opcode.get("reason"), list)
        else opcode
        for opcode in opcodes
    ]


class Users:
    """Names of users by number, remembered for a while."""

    def __init__(self) -> None:
        self._names: dict[int, tuple[float, str]] = {}
        self._asking: dict[int, asyncio.Future[str]] = {}

    async def named(self, peer: reasontrail.Peer) -> reasontrail.Peer:
        """Return a peer with the names of who it is, and of who had logged in if that is another.

        Call it while the peer is there: its process is looked at.
        """
        login = _login(peer.pid)
        return reasontrail.Peer(
            pid=peer.pid,
            uid=peer.uid,
            user=await self._name(peer.uid),
            login="" if login in {None, peer.uid} else await self._name(login) or str(login),
        )

    async def _name(self, uid: int | None) -> str:
        if uid is None:
            return ""
        now = time.monotonic()
        until, name = self._names.get(uid, (now, ""))
        if until > now:
            return name
        asking = self._asking.get(uid)
        if asking is None:
            asking = self._asking[uid] = asyncio.ensure_future(asyncio.to_thread(_looked_up, uid))
            asking.add_done_callback(lambda _: self._asking.pop(uid, None))
        try:
            async with asyncio.timeout(_PATIENCE):
                name = await asyncio.shield(asking)
        except TimeoutError:
            _LOG.warning("the name of a user is not found out in time", uid=uid)
        if len(self._names) >= _MOST:
            self._names.clear()
        self._names[uid] = (now + _REMEMBERED, name)
        return name


def _looked_up(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError, OSError):
        return ""


def _login(pid: int) -> int | None:
    """Return the number of the user who had logged in; None if nobody had, or it is not known."""
    try:
        found = int(Path(f"/proc/{pid}/loginuid").read_bytes())
    except (OSError, ValueError):
        return None
    return None if found == _NOBODY else found
