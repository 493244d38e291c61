"""Measures the stop journal by itself: how long a stop takes to be on disk, as the loop sees it.

``python -m lab.journalbench [DIRECTORY]`` writes a journal below DIRECTORY (default: the current
one, since /tmp may be memory) and says: latency of single stops on an idle loop and on a busy one,
and how long a storm takes.
"""

import asyncio
import pathlib
import statistics
import sys
import tempfile
import time

from pyganeti.kvmd import journal
from pyganeti.model import cause, evidence, stop

_BOOT = "0f2b6e2e-4df1-4d53-9a3e-5f4c36b3a1ff"


def a_stop(number: int) -> stop.Stop:
    """Return a stop like a real one, in size too."""
    now = time.time()
    return stop.Stop(
        name=f"instance{number}.example.com",
        key=f"{_BOOT[:8]}-{number + 4000}-{number * 97}-{number:x}-{time.monotonic_ns():x}",
        boot_id=_BOOT,
        socket=f"instance{number}.example.com.kvmd",
        pid=number + 4000,
        started=now - 1000,
        stopped=now,
        recorded=now,
        cause=cause.Cause.USER_POWEROFF,
        why="qemu said that the guest shut itself down, and nobody had asked for it",
        evidence=evidence.Evidence(
            pid=number + 4000,
            attachment=evidence.Attachment.WHOLE,
            attached_at_end=True,
            events=(evidence.QmpEvent(now, "SHUTDOWN", "guest-shutdown", guest=True),),
            status="running",
            ended=False,
            missing=("the exit status",),
        ),
        qemu="7.2.22",
    )


def watched(of: stop.Stop) -> stop.Watched:
    """Return the row of the guest before it stopped."""
    return stop.Watched(
        name=of.name,
        key=of.key,
        boot_id=of.boot_id,
        socket=of.socket,
        pid=of.pid,
        start_ticks=1,
        started=of.started,
        since=of.recorded,
        qemu=of.qemu,
    )


async def latencies(kept: journal.Journal, count: int, pause: float) -> list[float]:
    """Record one stop after another; return seconds until each was known to be on disk."""
    loop = asyncio.get_running_loop()
    found = []
    for number in range(count):
        answered = loop.create_future()
        begun = time.perf_counter()

        def done(_: stop.Stop, outcome: journal.Outcome, answered=answered, begun=begun) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
            assert outcome is journal.Outcome.STORED, outcome  # noqa: S101
            found.append(time.perf_counter() - begun)
            answered.set_result(None)

        kept.record(a_stop(number), done)
        await answered
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
    stops = [a_stop(number) for number in range(count)]
    for one in stops:
        kept.remember(watched(one))
    while kept._writer._notes:  # noqa: SLF001
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    loop = asyncio.get_running_loop()
    left = count
    answered = loop.create_future()

    def done(_: stop.Stop, outcome: journal.Outcome) -> None:
        nonlocal left
        assert outcome is journal.Outcome.STORED, outcome  # noqa: S101
        left -= 1
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
    kept.load(_BOOT)
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
