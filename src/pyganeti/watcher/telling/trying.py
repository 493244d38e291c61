"""Tells all webhooks of nothing, once, for a person who wants to see whether they would hear it.

The event is ``test``: version, id, event, cluster and text of `message`, and nothing else. What a
webhook wants to hear of is left aside. Nothing is kept and nothing is tried again.
"""

import asyncio
import secrets
import time
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from pyganeti.watcher.telling import message, outbox, receivers, sending

KIND: Final = "test"


async def tell_all(path: Path, cluster: str) -> list[tuple[bool, str]]:
    """Return for each webhook whether it took the event, and a line. Raises BadInput."""
    wanted = await asyncio.to_thread(receivers.read, path)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        tried = await asyncio.gather(*(_tell(session, one, cluster) for one in wanted))
    return [
        (one.verdict is sending.Verdict.TAKEN, f"{receiver.name}: {one.why or one.verdict.value}")
        for receiver, one in zip(wanted, tried, strict=True)
    ]


async def _tell(
    session: aiohttp.ClientSession, receiver: receivers.Receiver, cluster: str
) -> sending.Tried:
    id_ = secrets.token_hex(16)
    body = msgspec.json.encode(
        {
            "version": message.VERSION,
            "id": id_,
            "event": KIND,
            "cluster": cluster,
            "text": "somebody tries whether this is heard",
        }
    )
    owed = outbox.Owed(id_, KIND, time.monotonic(), body)
    return await sending.post(session, receiver, owed, time.time())
