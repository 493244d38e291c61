import asyncio
import json
import logging
from typing import Any, cast

import pytest

from pyganeti.base import errors
from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.rpc import dispatch

_NODE = cast("nodes.Node", object())


class _Guests:
    """A family of calls that keep the order of what happened."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.gate = asyncio.Event()
        family = (
            calls.Call("instance_shutdown", self._stop, calls.by(0)),
            calls.Call("instance_info", self._foreseen),
            calls.Call("instance_list", self._unforeseen),
            calls.Call("os_diagnose", self._unsendable),
        )
        self.dispatcher = dispatch.Dispatcher(calls.Table([family]), _NODE)

    async def answer(self, name: str, *arguments: object, wanted: bool = True) -> Any:
        body = json.dumps(arguments).encode()
        answer = await self.dispatcher.answer(name, body, caller="node1", is_wanted=lambda: wanted)
        return json.loads(answer)

    async def _stop(self, node: nodes.Node, name: str, trail: calls.Trail) -> int:
        del trail
        assert node is _NODE
        self.order.append(f"{name} begins")
        await self.gate.wait()
        self.order.append(f"{name} ends")
        return 5

    async def _foreseen(self, _node: nodes.Node) -> None:
        raise errors.Unavailable("the guest is gone: 5 %s")

    async def _unforeseen(self, _node: nodes.Node) -> None:
        raise ZeroDivisionError("a division")

    async def _unsendable(self, _node: nodes.Node) -> object:
        return object()


async def test_a_foreseen_failure_goes_out_as_its_text() -> None:
    assert await _Guests().answer("instance_info") == [False, "the guest is gone: 5 %s"]


@pytest.mark.parametrize("call", ["instance_list", "os_diagnose"])
async def test_any_other_is_a_fault_with_a_traceback_in_the_log(
    call: str, caplog: pytest.LogCaptureFixture
) -> None:
    ok, said = await _Guests().answer(call)
    assert not ok
    assert said.startswith("Error while executing backend function: ")
    (record,) = [r for r in caplog.records if r.exc_info]
    assert f"call={call}" in record.getMessage()


async def test_why_a_call_was_made_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    guests = _Guests()
    guests.gate.set()
    trail = [["gnt:client:gnt-instance", "stop", 1], ["gnt:opcode:shutdown", "job=7;index=0", 2]]
    assert await guests.answer("instance_shutdown", "web1", trail) == [True, 5]
    (record,) = [r for r in caplog.records if "call=instance_shutdown" in r.getMessage()]
    message = record.getMessage()
    assert "gnt:client:gnt-instance stop > gnt:opcode:shutdown job=7;index=0" in message
    assert "by=node1" in message
    assert "seconds=0.0" in message


async def test_calls_on_one_instance_take_turns_and_others_do_not_wait() -> None:
    guests = _Guests()
    async with asyncio.TaskGroup() as group:
        for name in ("web1", "web1", "web2"):
            group.create_task(guests.answer("instance_shutdown", name, []))
        for _ in range(20):
            await asyncio.sleep(0)
        assert guests.order == ["web1 begins", "web2 begins"]
        assert not guests.dispatcher.idle.is_set()
        guests.gate.set()
    assert guests.order.count("web1 ends") == 2
    assert guests.dispatcher.idle.is_set()


async def test_a_call_whose_client_has_gone_is_not_begun() -> None:
    guests = _Guests()
    ok, said = await guests.answer("instance_shutdown", "web1", [], wanted=False)
    assert not ok
    assert "nothing was done" in said
    assert guests.order == []


async def test_a_large_body_is_read_like_a_small_one() -> None:
    guests = _Guests()
    guests.gate.set()
    name = "w" * 300_000
    assert await guests.answer("instance_shutdown", name, []) == [True, 5]
