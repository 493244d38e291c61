"""Measures the stop journal by itself: how long a stop takes to be on disk, as the loop sees it.

``python -m lab.journalbench [DIRECTORY]`` writes a journal below DIRECTORY (default: the current
one, since /tmp may be memory) and says: latency of single stops on an idle loop and on a busy one,
and how long a storm takes.
"""

import asyncio
import itertools
import pathlib
import statistics
import sys
import tempfile
import time

from lab import examples
from pyganeti.kvmd.journal import journal
from pyganeti.model import stop

_numbers = itertools.count(1)


async def latencies(kept: journal.Journal, count: int, pause: float) -> list[float]:
    """Record one stop after another; return seconds until each was known to be on disk."""
    loop = asyncio.get_running_loop()
    found: list[float] = []
    for _ in range(count):
        answered: asyncio.Future[journal.Outcome] = loop.create_future()
        begun = time.perf_counter()
        one = examples.a_stop(next(_numbers))
        kept.record(one, lambda _, outcome, answered=answered: answered.set_result(outcome))  # type: ignore[misc]
        if await answered is not journal.Outcome.STORED:
            raise RuntimeError("the journal does not work")
        found.append(time.perf_counter() - begun)
        kept.marker_made("a key that is not there")
        await asyncio.sleep(pause)
    return found


async def busy(share: float) -> None:
    """Keep the loop busy for a share of the time, in turns of a millisecond."""
    while True:
        until = time.perf_counter() + 0.001 * share
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0.001 * (1 - share))


async def storm(kept: journal.Journal, count: int) -> tuple[float, float, float]:
    """Record many at once; return seconds until all were, CPU seconds, and the worst turn."""
    stops = [examples.a_stop(next(_numbers)) for _ in range(count)]
    for one in stops:
        kept.remember(examples.watched(one))
    await asyncio.sleep(2)  # they are written, and folded into the file
    loop = asyncio.get_running_loop()
    left = count
    answered: asyncio.Future[None] = loop.create_future()

    def done(_: stop.Stop, outcome: journal.Outcome) -> None:
        nonlocal left
        left -= outcome is journal.Outcome.STORED
        if not left:
            answered.set_result(None)

    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0)
            worst = max(worst, time.perf_counter() - begun)
            await asyncio.sleep(0.002)

    begun, cpu = time.perf_counter(), time.process_time()
    for one in stops:
        kept.record(one, done)
    watching = asyncio.create_task(watch())
    await answered
    took = time.perf_counter() - begun, time.process_time() - cpu
    watching.cancel()
    return *took, worst


def shown(found: list[float]) -> str:
    """Return median, 99th percentile and maximum in milliseconds."""
    points = statistics.quantiles(found, n=100)
    return f"p50 {points[49] * 1e3:.2f} p99 {points[98] * 1e3:.2f} max {max(found) * 1e3:.2f} ms"


async def main(directory: pathlib.Path) -> None:
    """Measure and print."""
    kept = journal.Journal.open(directory / "journal.sqlite")
    kept.load(examples.BOOT)
    print("idle loop, one after another:", shown(await latencies(kept, 2000, 0)))
    print("idle loop, 5 ms apart:       ", shown(await latencies(kept, 1000, 0.005)))
    for interval in (0.005, 0.0005):
        sys.setswitchinterval(interval)
        task = asyncio.create_task(busy(0.5))
        print(
            f"loop half busy, switch interval {interval * 1e3} ms:",
            shown(await latencies(kept, 1000, 0.003)),
        )
        task.cancel()
    for count in (1000, 10_000):
        took, cpu, worst = await storm(kept, count)
        print(f"storm of {count}: {took:.3f} s, {cpu:.3f} s CPU, worst turn {worst * 1e3:.1f} ms")
    wal = (directory / "journal.sqlite-wal").stat().st_size
    print(f"log {wal >> 20} MiB, file {(directory / 'journal.sqlite').stat().st_size >> 20} MiB")
    begun = time.perf_counter()
    kept.close()
    print(f"closed in {time.perf_counter() - begun:.3f} s")


if __name__ == "__main__":
    base = sys.argv[1] if len(sys.argv) > 1 else "."
    with tempfile.TemporaryDirectory(dir=base) as made:
        asyncio.run(main(pathlib.Path(made)))
