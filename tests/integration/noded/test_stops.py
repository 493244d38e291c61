"""Stops over the wire: a real node daemon, a real journal, and in the end real guests."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lab import daemons, examples, guests, journals, nodedaemons, qemus
from pyganeti.base import errors
from pyganeti.clients import node as clients
from pyganeti.clients import nodestops
from pyganeti.model import cause
from pyganeti.wire import stopanswers

_HERE = "127.0.0.1"


@pytest_asyncio.fixture
async def caller(noded: nodedaemons.Noded) -> AsyncIterator[clients.Caller]:
    async with clients.Caller(clients.context_of(noded.layout), port=noded.port) as caller:
        yield caller


def _has_place(noded: nodedaemons.Noded) -> bool:
    """Tell whether one more call may wait."""
    try:
        noded.call("instance_stops", "end", 0.001)
    except errors.Refused as error:
        assert "wait for stops here already" in str(error)  # noqa: PT017 - any other is a fault
        return False
    return True


def _wait_until_full(noded: nodedaemons.Noded) -> None:
    noded.wait(lambda: not _has_place(noded), "all places to be taken")


async def test_a_stop_reaches_who_waits_for_it_with_all_that_is_known(
    noded: nodedaemons.Noded, caller: clients.Caller
) -> None:
    with journals.observed(noded.layout.kvmd_journal) as found:
        begin = await nodestops.page(caller, _HERE, stopanswers.END)
        assert (begin.stops, begin.answer.kvmd) == ((), False)
        asking = asyncio.create_task(nodestops.page(caller, _HERE, begin.mark, patience=30))
        stop = examples.a_stop(1, name="web1")
        await found.record(stop)
        stored = time.monotonic()
        page = await asking
        assert time.monotonic() - stored < 3  # by looking now and then it would be five
        assert [one.key for one in page.stops] == [stop.key]
        told = page.stops[0]
        assert (told.evidence, told.started, told.boot_id, told.why) == (
            (stop.evidence, stop.started, stop.boot_id, stop.why)
        )
        assert (await nodestops.page(caller, _HERE, page.mark)).stops == ()
        why = await nodestops.why(caller, _HERE, "web1")
        assert why.stop == told
        assert (await nodestops.why(caller, _HERE, "web2")).stop is None
        last = noded.call("instance_last_stops", ["web1", "web2"])
        assert (last["stops"].keys(), last["running"]) == ({"web1"}, {})
        assert last["stops"]["web1"]["cause"] == "user-poweroff"
        with pytest.raises(errors.Refused, match="20000"):
            noded.call("instance_last_stops", ["x"] * 20_001)


async def test_before_there_is_a_journal_that_is_said(
    noded: nodedaemons.Noded, caller: clients.Caller
) -> None:
    page = await nodestops.page(caller, _HERE, None)
    assert (page.answer.journal, page.mark, page.answer.kvmd) == ("none", None, False)
    assert (await nodestops.why(caller, _HERE, "web1")).answer.journal == "none"


async def test_a_filter_goes_over_the_wire(
    noded: nodedaemons.Noded, caller: clients.Caller
) -> None:
    with journals.observed(noded.layout.kvmd_journal) as found:
        await found.record(
            examples.a_stop(1, name="a", cause=cause.Cause.KILLED), examples.a_stop(2, name="b")
        )
        wanted = stopanswers.Filter(causes=(cause.Cause.KILLED,), names=("a", "b"), since=0.0)
        page = await nodestops.page(caller, _HERE, None, wanted=wanted)
        assert [one.name for one in page.stops] == ["a"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([5], "mark"),
        (["nonsense"], "no mark"),
        ([None, -1], "0 to 60 seconds"),
        ([None, 60.5], "0 to 60 seconds"),
        ([None, "soon"], "patience"),
        ([None, 0, 0], "1 to 1000"),
        ([None, 0, 1001], "1 to 1000"),
        ([None, 0, 5, {"colour": "red"}], "colour"),
        ([None, 0, 5, {"causes": ["boredom"]}], "boredom"),
        ([None, 0, 5, {"names": ["x"] * 501}], "500 names"),
        ([None, 0, 5, {"names": ["x"] * 250, "hosts": ["y"] * 251}], "500 names"),
        ([None, 0, 5, None, 1], "0 to 4 arguments"),
    ],
)
def test_arguments_without_sense_are_refused_in_words(
    noded: nodedaemons.Noded, arguments: list[object], said: str
) -> None:
    with pytest.raises(errors.Refused, match=said):
        noded.call("instance_stops", *arguments)


def test_a_client_that_leaves_gives_its_place_back(short_dir: Path) -> None:
    with nodedaemons.Noded(short_dir, "--max-clients", "4") as noded:
        for _ in range(6):  # of which only one may wait at a time
            with contextlib.closing(noded.connect()) as connection:
                connection.request("POST", "/instance_stops", b'["end", 60]')
                _wait_until_full(noded)
            noded.wait(lambda: _has_place(noded), "a place")
        assert len(noded.log_lines("the client left before it was answered")) == 6


async def test_waiting_calls_leave_room_for_others(short_dir: Path) -> None:
    with (
        nodedaemons.Noded(short_dir) as noded,
        journals.observed(noded.layout.kvmd_journal) as found,
        contextlib.ExitStack() as end,
    ):
        waiting = [end.enter_context(contextlib.closing(noded.connect())) for _ in range(5)]
        for connection in waiting:
            connection.request("POST", "/instance_stops", b'["end", 60]')
        _wait_until_full(noded)
        context = clients.context_of(noded.layout)
        async with clients.Caller(context, port=noded.port, places=8) as caller:
            many = [caller.call(_HERE, "version") for _ in range(40)]
            assert len(await asyncio.gather(*many)) == 40
        await found.record(examples.a_stop(1))
        for connection in waiting:
            assert len(json.loads(connection.getresponse().read())[1]["rows"]) == 1


def test_the_daemons_end_answers_who_waits_at_once(noded: nodedaemons.Noded) -> None:
    with contextlib.closing(noded.connect()) as connection:
        connection.request("POST", "/instance_stops", b"[null, 60]")
        noded.call("version")
        began = time.monotonic()
        os.kill(noded.pid, signal.SIGTERM)
        answer = json.loads(connection.getresponse().read())
        assert answer[0]
        assert answer[1]["journal"] == "none"
    assert noded.wait_end() == 0
    assert time.monotonic() - began < 5
    assert "calls that hang" not in noded.log


@pytest.mark.qemu
async def test_the_end_of_a_real_guest_is_told_while_it_happens() -> None:
    with (
        qemus.Qemus(limit=120) as node,
        daemons.Kvmd(node) as kvmd,
        nodedaemons.Noded(node.root) as noded,
    ):
        context = clients.context_of(noded.layout)
        async with clients.Caller(context, port=noded.port) as caller:
            guest = node.start("web1", guests.idle())
            kvmd.wait_watching(guest)
            why = await nodestops.why(caller, _HERE, "web1")
            assert why.watched is not None
            assert (why.watched.pid, why.stop, why.answer.kvmd) == (guest.pid, None, True)
            begin = await nodestops.page(caller, _HERE, stopanswers.END)
            asking = asyncio.create_task(nodestops.page(caller, _HERE, begin.mark, patience=30))
            guest.kill()
            page = await asking
            assert [(one.name, one.pid) for one in page.stops] == [("web1", guest.pid)]
            kvmd.kill()
            after = await nodestops.page(caller, _HERE, page.mark)
            assert (after.answer.kvmd, after.answer.journal) == (False, "there")
