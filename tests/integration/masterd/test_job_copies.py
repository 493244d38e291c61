"""Copies of the queue with a real node daemon: TLS, its own checks, its own files."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from lab import carriers, jobs, nodedaemons
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import nodes
from pyganeti.masterd.jobs import candidates, queue

op = carriers.opcode


@dataclass(frozen=True)
class Candidate:
    """A node of the configuration."""

    uuid: str
    name: str
    primary_ip: str = "127.0.0.1"
    offline: bool = False


class Members:
    """The configuration."""

    def candidates(self) -> list[Candidate]:
        return [Candidate("u1", "master"), Candidate("u2", nodedaemons.NAME)]


def files_of(place: Path) -> dict[str, bytes]:
    """Return the jobs of a queue that are not archived, and its serial number."""
    found = [*place.glob("job-*"), place / "serial"]
    return {str(path.relative_to(place)): path.read_bytes() for path in found if path.exists()}


async def same(place: Path, copy: Path) -> None:
    """Wait until a copy is the queue, and counts."""
    counting = place / "candidates"
    async with asyncio.timeout(15):
        while not counting.exists() or b"u2" not in counting.read_bytes():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        while files_of(place) != files_of(copy):  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(0.01)


async def test_a_candidate_has_what_was_accepted_and_catches_up_after_it_was_away(
    tmp_path: Path, short_dir: Path
) -> None:
    place = tmp_path / "queue"
    noded = nodedaemons.Noded(short_dir)
    copy = noded.layout.queue_dir
    bounds = queue.Bounds(copy_pauses=(0.05, 0.1), end_patience=1)
    await asyncio.to_thread(noded.start)
    try:
        async with nodeclient.Caller(noded.context(), port=noded.port) as caller:
            keepers = candidates.Configured(nodes.Nodes(caller), Members, "u1")
            async with queue.Queue(
                place, carriers.Carrier(), candidates=keepers, bounds=bounds
            ) as found:
                await jobs.ended(found, await found.submit([op()]))
                await same(place, copy)  # one that never had a queue gets it whole
                numbers = [n for _, n in await found.submit_many([[op()]] * 10)]
                await jobs.ended(found, *numbers)
                await same(place, copy)
                assert await found.archive(numbers[0])
                assert (copy / f"archive/0/job-{numbers[0]}").exists()
                await asyncio.to_thread(noded.kill)
                while_away = await found.submit([op()])
                await jobs.ended(found, while_away)
                assert await found.archive(numbers[1])
                assert not (copy / f"job-{while_away}").exists()
            port = noded.port
            noded.arguments = ("-p", f"{port}")
            await asyncio.to_thread(noded.start)
            assert noded.port == port
            async with queue.Queue(
                place, carriers.Carrier(), candidates=keepers, bounds=bounds
            ) as found:
                await same(place, copy)
                assert (copy / f"job-{while_away}").exists()
                last = await found.submit([op("log=hello")])
                assert (copy / f"job-{last}").exists()
                await jobs.ended(found, last)
                await same(place, copy)
    finally:
        await asyncio.to_thread(noded.kill)
