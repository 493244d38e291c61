"""Conversations with a qemu that begin badly."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pyganeti.noded.qemu import monitor

_GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}, "capabilities": []}}
_EVENT = {"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 0}}


@contextlib.asynccontextmanager
async def _serving(place: Path, intruding: str, times: int) -> AsyncIterator[list[int]]:
    """Speak QMP at a socket; for so many clients an event gets between the first words."""
    came: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(len(came))
        intrudes = len(came) <= times

        def say(what: dict[str, Any]) -> None:
            writer.write(json.dumps(what).encode() + b"\n")

        if intrudes and intruding == "before the greeting":
            say(_EVENT)
        say(_GREETING)
        if intrudes and intruding == "behind the greeting":
            say(_EVENT)
        with contextlib.suppress(ConnectionError):
            # One command at a time comes, and nothing says where it ends.
            while piece := await reader.read(4096):
                asked = json.loads(piece)
                status = {"status": "running"} if asked["execute"] == "query-status" else {}
                say({"return": status} | ({"id": asked["id"]} if "id" in asked else {}))
        writer.close()

    server = await asyncio.start_unix_server(serve, place)
    try:
        yield came
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("intruding", ["before the greeting", "behind the greeting"])
async def test_an_event_between_the_first_words_is_no_end(short_dir: Path, intruding: str) -> None:
    place = short_dir / "k1.qmp"
    async with _serving(place, intruding, times=2) as came, monitor.open(place) as talk:
        assert await talk.status() == "running"
        assert len(came) == 3


async def test_who_never_begins_as_a_qemu_does_is_none(short_dir: Path) -> None:
    place = short_dir / "k1.qmp"
    async with _serving(place, "before the greeting", times=99) as came:
        with pytest.raises(monitor.Gone, match="no qemu answers for k1"):
            async with monitor.open(place):
                pass
        assert len(came) == 3
