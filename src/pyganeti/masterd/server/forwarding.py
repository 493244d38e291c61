"""Answering as the master does while another node's daemon leads: requests are handed on to it.

A deed is handed on once. If it is not known whether it was done, who asked is told that, and where
to look; nothing is ever asked for again on his behalf. What was certainly not done, and every
question, raises `Again`: who leads may have changed meanwhile (`switching` waits for that).

The way is the leader's node daemon, which admits master candidates only, and hands to no daemon
that stands by itself.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from pyganeti.base import errors, log
from pyganeti.clients import node as nodeclient
from pyganeti.wire import forwarding, luxi, luxierrors, noderpc

_LOG = log.get(__name__)

_WAIT: Final = "WaitForJobChange"
_TIMEOUT: Final = 4
"""Which of a wait's arguments says how long."""

_LONGEST_WAIT: Final = 5
"""Seconds of waiting that are handed on at a time: the client asks again by itself."""

_PATIENCE: Final = 120.0
_SPARE: Final = 10.0
"""Seconds for the way, beside those for the answer."""

_BUSY: Final = (0.05, 0.3)
_LOOK: Final = 0.5
"""Seconds after which it is looked whether who was asked still leads: he may stand still."""

_LARGE: Final = 64 * 1024

_QUESTIONS: Final = frozenset(
    method for method in luxi.METHODS if method.startswith("Query") or method == _WAIT
)


class Leader(Protocol):
    """Who leads, and where its node daemon is reached; `backing.Leader` is it."""

    @property
    def name(self) -> str: ...  # noqa: D102 - what it says
    @property
    def address(self) -> str: ...  # noqa: D102 - what it says


class Again(errors.Unavailable):
    """It was not done, or did nothing, for want of a leader; the message says how that is."""


class Caller(Protocol):
    """Who calls node daemons; `clients.node.Caller` is it."""

    async def call(
        self, address: str, name: str, arguments: list[object], *, timeout: float
    ) -> Any:  # noqa: ANN401 - JSON
        """Have a node carry out a call."""


class _Said(luxi.Unreadable):
    """A leader's failure that is a bare text: it goes out as it came."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._text = text

    def __str__(self) -> str:
        return self._text


class _Answer(msgspec.Struct):
    success: bool
    result: msgspec.Raw


class Forwarding:
    """What is asked of a daemon that stands by."""

    def __init__(
        self,
        caller: Caller,
        leader: Callable[[], Leader | None],
        leads: Callable[[], bool] = lambda: False,
    ) -> None:
        """Make one; ``leader`` gives who leads now, None for nobody or this node itself.

        ``leads`` says whether it is this node.
        """
        self._caller = caller
        self._leader = leader
        self._leads = leads

    def is_question(self, request: luxi.Request) -> bool:
        """Say whether it may be broken off."""
        return request.method in _QUESTIONS

    async def perform(self, request: luxi.Request) -> Any:  # noqa: ANN401 - JSON
        """Hand a request on; return what the leader answers, or raise what it says.

        Raises Again if it may be handed on once more, Interrupted if nobody knows whether it was
        done.
        """
        leader = self._leader()
        if leader is None:
            raise Again("no master daemon leads the cluster now")
        request = _shortened(request)
        data = luxi.encode_request(request.method, request.args)[: -len(luxi.END)]
        blob = await _packed(data)
        try:
            answer = await self._asked(leader, blob)
        except nodeclient.Unreached as error:
            raise Again(f"{leader.name}, which led the cluster, is not reached: {error}") from error
        except (errors.Refused, errors.Denied, errors.BadInput) as error:
            raise errors.Unavailable(
                f"{leader.name}, which leads the cluster, takes no requests from here: {error}"
            ) from error
        except errors.Failure as error:
            raise self._lost(request, leader, str(error)) from error
        handed = msgspec.convert(answer, forwarding.Handed)
        match handed.fate:
            case "answered":
                return await _opened(handed)
            case "busy":
                await asyncio.sleep(random.uniform(*_BUSY))
                if request.method == _WAIT:
                    return luxi.NOT_CHANGED
                raise Again(f"{leader.name}: {handed.why}")
            case "absent":
                raise Again(f"{leader.name}: {handed.why}")
            case "broken":
                raise self._lost(request, leader, handed.why)

    async def _asked(self, leader: Leader, blob: list[Any]) -> Any:  # noqa: ANN401 - JSON
        """Have a leader's node hand a request on; raises Interrupted when another leads."""
        asking = asyncio.create_task(
            self._caller.call(
                leader.address, forwarding.CALL, [blob, _PATIENCE], timeout=_PATIENCE + _SPARE
            )
        )
        try:
            while not asking.done():
                await asyncio.wait({asking}, timeout=_LOOK)
                now = self._leader()
                if not asking.done() and now != leader and (now is not None or self._leads()):
                    raise errors.Interrupted("another one leads by now")
            return asking.result()
        finally:
            asking.cancel()
            await asyncio.wait({asking})

    def _lost(self, request: luxi.Request, leader: Leader, why: str) -> errors.Failure:
        _LOG.warning(
            "a request was handed on and not answered",
            method=request.method, leader=leader.name, why=why,
        )  # fmt: skip
        if self.is_question(request):
            return Again(f"{leader.name}: {why}")
        return errors.Interrupted(
            f"{leader.name}, which led the cluster, did not answer: {why}; what was asked may be"
            " done: see gnt-job list"
        )


def _shortened(request: luxi.Request) -> luxi.Request:
    """Return a request that keeps no place at the leader's for long."""
    args = request.args
    if request.method != _WAIT or not isinstance(args, list) or len(args) <= _TIMEOUT:
        return request
    timeout = args[_TIMEOUT]
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        return request
    shortened = [*args[:_TIMEOUT], min(timeout, _LONGEST_WAIT), *args[_TIMEOUT + 1 :]]
    return luxi.Request(request.method, shortened)


async def _packed(data: bytes) -> list[Any]:
    if len(data) < _LARGE:
        return noderpc.encode_blob(data)
    return await asyncio.to_thread(noderpc.encode_blob, data)


async def _opened(handed: forwarding.Handed) -> Any:  # noqa: ANN401 - JSON
    """Return what an answer says; raises the failure that it says."""
    blob = handed.answer or []
    if all(len(str(piece)) < _LARGE for piece in blob):
        data = noderpc.decode_blob(blob, luxi.ANSWER_LIMIT)
    else:
        data = await asyncio.to_thread(noderpc.decode_blob, blob, luxi.ANSWER_LIMIT)
    try:
        answer = msgspec.json.decode(data, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise luxierrors.Protocol(f"the leader's answer is none: {error}") from error
    if answer.success:
        return answer.result
    said = msgspec.json.decode(answer.result)
    raise _Said(said) if isinstance(said, str) else luxierrors.decode(said)
