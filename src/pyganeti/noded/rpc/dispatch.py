"""From a body to a body: checks the arguments, has the call take its turn, says how it went.

Every call is logged once, with who asked, why, how long it waited and how long it took; one that
masters ask all the time is a message for debugging, unless it fails. A failure
that was foreseen goes out as its text; whatever else a handler raises goes out as Ganeti says it,
and its traceback into the log. A call whose client has gone while it waited for its turn is not
begun: nobody would know that it was done.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from pyganeti.base import errors, log
from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.rpc import turns
from pyganeti.wire import noderpc

_LOG = log.get(__name__)

_LARGE: Final = 128 * 1024
"""Bytes of a body above which it is decoded in a thread: the loop is for everybody."""

_MOST: Final = 500
"""Calls under way at once, those whose clients are gone included."""


Passed: TypeAlias = Callable[[], contextlib.AbstractContextManager[None]]

Observed: TypeAlias = Callable[[str, str, float], None]
"""Is told of a call's end: its name, how it failed ("" if it did not), the seconds of its work."""


def unobserved(call: str, outcome: str, seconds: float) -> None:
    """Tell nobody."""


class Dispatcher:
    """Answers calls."""

    def __init__(
        self, table: calls.Table, node: nodes.Node, observed: Observed = unobserved
    ) -> None:
        self._observed = observed
        self._table = table
        self._node = node
        self._turns = turns.Turns()
        self._under_way = 0
        self.idle = asyncio.Event()
        """Set while no call is under way."""
        self.idle.set()

    @property
    def under_way(self) -> int:
        """How many calls have begun and not ended."""
        return self._under_way

    def has(self, name: str) -> bool:
        """Say whether the protocol has such a call, whether or not this daemon has it yet."""
        return name in self._table.names or name in calls.KNOWN

    async def answer(
        self,
        name: str,
        body: bytes,
        *,
        caller: str,
        is_wanted: Callable[[], bool],
        gone: asyncio.Event | None = None,
        passed: Passed = contextlib.nullcontext,
        by_master: bool = False,
    ) -> bytes:
        """Return the answer's body, whatever happens.

        ``caller`` is the certificate's name; ``is_wanted`` says whether the client is still there,
        and ``gone`` is set when it leaves. Within ``passed`` the call is carried out, when its turn
        has come; it may raise a Failure instead. ``by_master``: it is made as the master's.
        """
        told = _Told(name, caller, self._observed)
        told.is_quiet = by_master
        if self._under_way >= _MOST:
            return told.failure(f"{self._under_way} calls are under way already")
        self._under_way += 1
        self.idle.clear()
        try:
            return told.success(await self._perform(told, body, is_wanted, gone, passed))
        except errors.Failure as error:
            return told.failure(str(error))
        except Exception as error:  # noqa: BLE001 - a call's top frame; the client is told
            return told.fault(error)
        except asyncio.CancelledError:
            told.cancelled()
            raise
        finally:
            self._under_way -= 1
            if not self._under_way:
                self.idle.set()

    async def _perform(
        self,
        told: "_Told",
        body: bytes,
        is_wanted: Callable[[], bool],
        gone: asyncio.Event | None,
        passed: Passed,
    ) -> Any:  # noqa: ANN401 - JSON
        bound = self._table.find(told.call)
        if bound is None:
            raise errors.BadInput(f"there is no call {told.call}")
        if len(body) > _LARGE:
            arguments = await asyncio.to_thread(noderpc.decode_arguments, body)
        else:
            arguments = noderpc.decode_arguments(body)
        checked = bound.check(arguments)
        told.trail = bound.trail(checked)
        told.is_quiet = told.is_quiet and bound.call.is_quiet
        async with self._turns.of(bound.call.serial(checked)):
            told.begin()
            if not is_wanted():
                raise errors.Interrupted("the client left before its turn came; nothing was done")
            with log.bind(call=told.call), passed():
                work = bound.call.handler(self._node, *checked)
                if gone is not None and bound.call.ends_with_client:
                    return await _unless(gone, work)
                return await work


async def _unless(gone: asyncio.Event, work: Awaitable[Any]) -> Any:  # noqa: ANN401 - JSON
    """Do what only a client's presence makes worth doing; raises Interrupted when it leaves."""
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(gone.wait())
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise errors.Interrupted("the client left before it was answered")
    finally:
        doing.cancel()
        leaving.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


class _Told:
    """What is said about one call when it ends."""

    __slots__ = ("_began", "_came", "_observed", "call", "caller", "is_quiet", "trail")

    def __init__(self, call: str, caller: str, observed: Observed) -> None:
        self._observed = observed
        self.call = call
        self.caller = caller
        self.trail: calls.Trail = []
        self.is_quiet = False
        self._came = self._began = time.monotonic()

    def begin(self) -> None:
        self._began = time.monotonic()

    def success(self, payload: object) -> bytes:
        body = noderpc.success(payload)
        tell = _LOG.debug if self.is_quiet else _LOG.info
        tell("answered", **self._fields())
        self._end("")
        return body

    def failure(self, why: str) -> bytes:
        _LOG.warning("refused or failed", **self._fields(), why=why)
        self._end("refused")
        return noderpc.failure(why)

    def fault(self, error: Exception) -> bytes:
        _LOG.exception("failed unforeseen", **self._fields())
        self._end("fault")
        return noderpc.failure(f"Error while executing backend function: {error}")

    def cancelled(self) -> None:
        _LOG.warning("given up: the daemon ends", **self._fields())
        self._end("given-up")

    def _end(self, outcome: str) -> None:
        self._observed(self.call, outcome, time.monotonic() - self._began)

    def _fields(self) -> dict[str, object]:
        now = time.monotonic()
        fields: dict[str, object] = {"call": self.call, "by": self.caller}
        fields["seconds"] = f"{now - self._began:.6f}"
        if (waited := self._began - self._came) > 0.001:  # noqa: PLR2004 - seconds: not at once
            fields["waited"] = f"{waited:.3f}"
        if self.trail:
            fields["why_asked"] = " > ".join(
                f"{who} {what}".rstrip() for who, what, _ in self.trail
            )
        return fields
